import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { bytesSource, serializeSafetensors } from '@lowrank/safetensors';
import { loraSettings } from '@lowrank/lora';
import { describe, expect, test } from 'vitest';
import { readMethod } from './methods.js';

/** The fields of PEFT's config classes (parity/folderKeys.py). */
const { 'adapter_config.json': classes } = JSON.parse(
  readFileSync(fileURLToPath(new URL('../../../parity/golden/folderKeys.json', import.meta.url)), 'utf8'),
) as { 'adapter_config.json': Record<string, string[]> };

const weights = bytesSource(serializeSafetensors([]), 'adapter_model.safetensors');

async function warningsOf(config: Readonly<Record<string, unknown>>): Promise<string[]> {
  const said: string[] = [];
  await readMethod({ config, weights, name: 'here' }, { onWarning: (text) => said.push(text) });
  return said;
}

describe.each(Object.keys(classes).filter((type) => !['LORA', 'TRAINABLE_TOKENS'].includes(type)))('%s', (type) => {
  test('no field of the config class is unknown, and another key brings a warning', async () => {
    const fields = Object.fromEntries((classes[type] ?? []).map((key) => [key, null]));
    expect(await warningsOf({ ...fields, peft_type: type })).toEqual([]);
    expect(await warningsOf({ ...fields, peft_type: type, tilt: 3 })).toEqual([
      'here/adapter_config.json: the key "tilt" is not known here, and ignored.',
    ]);
  });
});

test('no field of LoraConfig is unknown', () => {
  const { settings, knownKeys = [], refusedKeys = {}, spentKeys = {} } = loraSettings;
  const known = new Set([
    ...Object.values(settings).flatMap((setting) => ('key' in setting ? [setting.key as string] : [])),
    ...knownKeys,
    ...Object.keys(refusedKeys),
    ...Object.keys(spentKeys),
  ]);
  const fields = [...(classes['LORA'] ?? []), ...(classes['TRAINABLE_TOKENS'] ?? [])];
  expect(fields.filter((key) => !known.has(key))).toEqual([]);
});
