import { bytesSource, serializeSafetensors } from '@lowrank/safetensors';
import { expect, test } from 'vitest';
import { methodFileBytes, readMethod, serializeMethod } from './methodFiles.js';
import { TinyModel } from './testing.js';
import { attachMethod, isMethodType, methodNames, tuningMethods } from './tuningMethods.js';

test.each(methodNames)('%s: its size is known before it is there; files are read again as they were', async (name) => {
  const inject = { virtualTokens: 3, bottleneck: 2, baseModel: 'owner/base' };
  const tuning = await tuningMethods[name].inject(new TinyModel(), inject);
  const adapter = await tuning.extract();
  const files = serializeMethod(adapter);
  const weights = files['adapter_model.safetensors'] ?? new Uint8Array();
  expect(methodFileBytes(tuning)).toBe(weights.byteLength);
  expect(methodFileBytes(tuning, 'BF16')).toBeLessThan(weights.byteLength);
  const text = (file: string): string => new TextDecoder().decode(files[file]);
  expect(text('README.md')).toMatch(name === 'adapter' ? /PEFT has no such method/ : /loads with PEFT/);
  const read = await readMethod({
    config: JSON.parse(text('adapter_config.json')) as unknown,
    weights: bytesSource(weights),
    name,
  });
  expect(read.tensors).toEqual(new Map([...adapter.tensors].sort(([a], [b]) => (a < b ? -1 : 1))));
  const again = await attachMethod(new TinyModel(), read);
  expect((await again.extract()).tensors).toEqual(adapter.tensors);
  expect(isMethodType(read.config['peft_type'])).toBe(true);
});

test('other types, other dtypes and what is no configuration are refused; 16 bits are read', async () => {
  const file = (dtype: 'F64' | 'F16'): Uint8Array =>
    serializeSafetensors([
      { name: 'prompt_embeddings', dtype, shape: [1, 6], data: new Uint8Array(dtype === 'F64' ? 48 : 12) },
    ]);
  const read = (config: unknown, dtype: 'F64' | 'F16' = 'F16'): ReturnType<typeof readMethod> =>
    readMethod({ config, weights: bytesSource(file(dtype)), name: 'folder' });
  await expect(read({ peft_type: 'LORA' })).rejects.toThrow(
    /peft_type of folder.*BEFT, BITFIT, PROMPT_TUNING, PREFIX_TUNING, HOULSBY_ADAPTER, got "LORA"/,
  );
  await expect(read([])).rejects.toThrow(/JSON object/);
  await expect(read({ peft_type: 'PROMPT_TUNING' }, 'F64')).rejects.toThrow(/expected F32, F16 or BF16, got F64/);
  expect((await read({ peft_type: 'PROMPT_TUNING' })).tensors.get('prompt_embeddings')?.data).toEqual(
    new Float32Array(6),
  );
  expect(isMethodType('LORA')).toBe(false);
});
