import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { stepsOverCodesAndNumbers } from './helpers/ggufSteps.js';

const file = fileURLToPath(new URL('../parity/golden/ggufBases/llama.gguf', import.meta.url));

test('three steps of LoRA over the codes of a GGUF file are those over the numbers they stand for', async () => {
  const rows = ['the cat sat on the mat', 'a cat and the rat'];
  const { codes, numbers } = await stepsOverCodesAndNumbers(file, { device: 'webgpu', rows, steps: 3, batchSize: 2 });
  expect(codes.length).toBe(6);
  codes.forEach((value, at) => expect(Math.abs(value - (numbers[at] ?? NaN))).toBeLessThan(1e-4 * Math.abs(value)));
});
