import { fileURLToPath } from 'node:url';
import { fileSource, openSafetensors } from '@lowrank/safetensors';
import { expect, test } from 'vitest';
import { dequantize } from './dequantize.js';
import { operandOf } from './quantizedTensor.js';
import { quantize } from './quantizer.js';
import type { QuantizedTensor } from './quantizedTensor.js';
import { bytesOf, digest, goldenJson } from './testing.js';

const model = fileURLToPath(new URL('../../../../shared/data/models/stories3M/model.safetensors', import.meta.url));

/** Digests of codes and scales, and of values, by type. */
type Digests = Record<
  string,
  Record<'nf4' | 'nf4Double' | 'fp4' | 'fp4Double' | 'int8', [codes: string, values: string]>
>;

/** Codes and scales in the order in which the golden has them. */
function parts(tensor: QuantizedTensor): ArrayBufferView[] {
  if (tensor.type === 'int8' || tensor.absmax instanceof Float32Array)
    return [tensor.codes, tensor.absmax as Float32Array];
  return [tensor.codes, tensor.absmax.codes, tensor.absmax.absmax, Float32Array.of(tensor.absmax.offset)];
}

test('every matrix of a trained model becomes the codes that bitsandbytes makes of it', async () => {
  const { digests } = await goldenJson<{ digests: Digests }>('stories3M.json');
  const file = await openSafetensors(fileSource(model));
  expect(Object.keys(digests).length).toBeGreaterThan(40);
  for (const [name, golden] of Object.entries(digests)) {
    const x = new Float32Array(await bytesOf(file, name));
    const shape = file.tensors.get(name)?.shape ?? [];
    for (const [kind, [codes, values]] of Object.entries(golden)) {
      const type = kind === 'int8' ? 'int8' : kind.startsWith('nf4') ? 'nf4' : 'fp4';
      const tensor = quantize(x, { type, shape, dtype: 'f32', doubleQuantization: kind.endsWith('Double') });
      expect(`${name} ${kind} ${digest(...parts(tensor))}`).toBe(`${name} ${kind} ${codes}`);
      expect(`${name} ${kind} ${digest((dequantize(tensor) as Float32Array).map((value) => value + 0))}`).toBe(
        `${name} ${kind} ${values}`,
      );
      expect(operandOf(tensor).parts[0]?.length).toBe(tensor.codes.length);
    }
  }
});
