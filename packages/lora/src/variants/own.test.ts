import { expect, test } from 'vitest';
import { parseAdapterConfig, serializeAdapterConfig } from '../adapterConfig.js';
import { checkLoraConfig } from '../checkConfig.js';
import { loraConfig } from '../config.js';
import type { NamedVariant } from '../variant.js';
import { variantOf } from '../variantOf.js';
import { plain } from './plain.js';

const halved: NamedVariant = { ...plain, name: 'halved' };
const given = { targetModules: ['q_proj'], variant: halved };

test('a configuration brings its variant, and a file names it to those who have it alone', () => {
  const config = loraConfig(given);
  expect(variantOf(config)).toBe(halved);
  const json = JSON.parse(serializeAdapterConfig(config)) as Record<string, unknown>;
  // PEFT knows no such type, and so does not take it for plain LoRA.
  expect(json).toMatchObject({ lowrank_variant: 'halved', peft_type: 'LOWRANK' });
  expect(parseAdapterConfig(json, 'a.json', [{ ...plain, name: 'other' }, halved]).variant).toBe(halved);
  expect(() => parseAdapterConfig(json, 'a.json')).toThrow(/lowrank_variant in a.json.*"halved".*variants/);
  expect(() => parseAdapterConfig(json, 'a.json', [{ ...plain, name: 'other' }])).toThrow(/one of other/);
  expect(() => parseAdapterConfig({ ...json, lowrank_variant: undefined }, 'a.json', [halved])).toThrow(/peft_type/);
  expect(JSON.parse(serializeAdapterConfig(loraConfig({ targetModules: ['q_proj'] })))).not.toHaveProperty(
    'lowrank_variant',
  );
});

test.each<[Partial<Parameters<typeof loraConfig>[0]>, RegExp]>([
  [{ variant: { ...halved, name: 'a b' } }, /variant: expected a name of letters/],
  [{ useDora: true }, /variant with useDora: expected one of the two/],
  [{ loraBias: true }, /variant with loraBias: expected one of the two/],
  [{ init: 'pissa' }, /variant with init 'pissa': expected one of the two/],
  [{ variant: { ...halved, vector: 'gain' } }, /a vector named lora_/],
  [{ variant: { ...halved, vector: 'lora_A' } }, /a vector named lora_/],
])('%j is refused', (more, words) => {
  expect(() => checkLoraConfig(loraConfig({ ...given, ...more }))).toThrow(words);
});
