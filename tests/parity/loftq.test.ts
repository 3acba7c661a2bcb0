import { fileURLToPath } from 'node:url';
import { loftqInit } from '@lowrank/lora';
import { dequantize, quantize } from '@lowrank/quant';
import { fileSource, openSafetensors } from '@lowrank/safetensors';
import { expect, test } from 'vitest';

const golden = fileURLToPath(new URL('../../parity/golden/quant/loftq.safetensors', import.meta.url));

/** B·A [rows, columns] */
function product(b: Float32Array, a: Float32Array, columns: number): Float64Array {
  const rank = a.length / columns;
  return Float64Array.from({ length: (b.length / rank) * columns }, (_, i) => {
    let sum = 0;
    for (let k = 0; k < rank; k++)
      sum += (b[Math.floor(i / columns) * rank + k] ?? NaN) * (a[k * columns + (i % columns)] ?? NaN);
    return sum;
  });
}

test.each(['square', 'wide', 'tall', 'int8'])('%s: LoftQ is PEFT’s', async (name) => {
  const file = await openSafetensors(fileSource(golden));
  const read = async (part: string): Promise<Float32Array<ArrayBuffer>> =>
    new Float32Array(new Uint8Array(await file.read(`${name}.${part}`)).buffer);
  const [rank = 0, bits, iterations = 0] = new Int32Array((await read('settings')).buffer);
  const [rows = 0, columns = 0] = file.tensors.get(`${name}.w`)?.shape ?? [];
  const type = bits === 8 ? 'int8' : 'nf4';
  const roundTrip = (weight: Float32Array): Float32Array =>
    dequantize(quantize(weight, { type, shape: [rows, columns], dtype: 'f32' })) as Float32Array;
  const { quantized, a, b } = loftqInit(await read('w'), { rows, columns, rank, scaling: 1, iterations, roundTrip });
  // PEFT's decomposition is in f32, so that after the first round the largest of a block may be another in its last
  // bits.
  const base = await read('q');
  expect(Math.max(...base.map((value, i) => Math.abs(value - (quantized[i] ?? NaN))))).toBeLessThan(
    iterations === 1 ? 1e-30 : 2e-7,
  );
  const [theirA, theirB] = [await read('a'), await read('b')];
  const [ours, theirs] = [product(b, a, columns), product(theirB, theirA, columns)];
  expect(Math.max(...theirs.map((value, i) => Math.abs(value - (ours[i] ?? NaN))))).toBeLessThan(2e-7);
  // Each singular vector has a sign of its own; the roots of the values are shared out alike.
  for (let k = 0; k < rank; k++) {
    const [mine = NaN, their = NaN] = [a, theirA].map((matrix) =>
      Math.hypot(...matrix.subarray(k * columns, (k + 1) * columns)),
    );
    expect(mine).toBeCloseTo(their, 6);
  }
});
