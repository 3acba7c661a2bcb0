import { bytesSource, serializeSafetensors } from '@lowrank/safetensors';
import { expect, test } from 'vitest';
import { bitfit } from './bitfit.js';
import type { AdapterSource } from './method.js';
import { methodNamed, methodNames, methodOf, readMethod } from './methods.js';
import { TinyModel } from './testing.js';

const adapters = methodNames.filter((name) => methodNamed(name).saves === 'adapter');
const options = { virtualTokens: 3, bottleneck: 2, r: 2, dimension: 9, baseModel: 'owner/base' };
const text = (content: unknown): string =>
  typeof content === 'string' ? content : new TextDecoder().decode(content as Uint8Array);

test.each(adapters)('%s: its size is known before it is there; files are read again as they were', async (name) => {
  const method = methodNamed(name);
  const applied = await method.inject(new TinyModel(), options);
  const stored = await applied.extract();
  const files = method.write(stored);
  expect(Object.keys(files).at(-1)).toBe('adapter_config.json');
  const weights = files['adapter_model.safetensors'] as Uint8Array;
  expect(applied.fileBytes()).toBe(weights.byteLength);
  expect(applied.fileBytes('BF16')).toBeLessThan(weights.byteLength);
  const source: AdapterSource = {
    config: JSON.parse(text(files['adapter_config.json'])) as unknown,
    weights: bytesSource(weights),
    name,
  };
  const read = await readMethod(source);
  expect(read.method).toBe(method);
  expect(method.optionsOf(read.stored)).toMatchObject(
    Object.fromEntries(Object.entries(options).filter(([key]) => key in method.optionsOf(stored))),
  );
  const again = await read.method.attach(new TinyModel(), read.stored);
  expect(method.write(await again.extract())).toEqual(files);
});

test.each([
  ['prompt', /loads with PEFT/],
  ['bitfit', /loads with PEFT/],
  ['adapter', /PEFT has no such method/],
] as const)('%s: the card says who loads it', async (name, words) => {
  const method = methodNamed(name);
  const applied = await method.inject(new TinyModel(), options);
  expect(text(method.write(await applied.extract())['README.md'])).toMatch(words);
});

test('other types, other dtypes and what is no configuration are refused; 16 bits are read', async () => {
  const file = (dtype: 'F64' | 'F16'): Uint8Array =>
    serializeSafetensors([
      { name: 'prompt_embeddings', dtype, shape: [1, 6], data: new Uint8Array(dtype === 'F64' ? 48 : 12) },
    ]);
  const source = (config: unknown, dtype: 'F64' | 'F16' = 'F16'): AdapterSource => ({
    config,
    weights: bytesSource(file(dtype)),
    name: 'folder',
  });
  await expect(readMethod(source({ peft_type: 'LOHA' }))).rejects.toThrow(
    /peft_type of folder.*LORA, TRAINABLE_TOKENS, BEFT, BITFIT, PROMPT_TUNING, PREFIX_TUNING.*got "LOHA"/,
  );
  await expect(bitfit.read(source({ peft_type: 'LORA' }))).rejects.toThrow(/expected BEFT or BITFIT, got "LORA"/);
  await expect(readMethod(source([]))).rejects.toThrow(/JSON object/);
  const config = { peft_type: 'PROMPT_TUNING' };
  await expect(readMethod(source(config, 'F64'))).rejects.toThrow(/expected F32, F16 or BF16, got F64/);
  expect((await readMethod(source(config))).stored).toMatchObject({
    tensors: new Map([['prompt_embeddings', { shape: [1, 6], data: new Float32Array(6) }]]),
  });
  expect(methodOf({ peft_type: 'TRAINABLE_TOKENS' }).name).toBe('lora');
});
