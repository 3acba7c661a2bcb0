import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { ggufSteps } from './helpers/ggufSteps.js';

const file = fileURLToPath(new URL('../parity/golden/ggufBases/llama.gguf', import.meta.url));

test('three steps of LoRA over the codes of a GGUF file, of every kind, are those on the CPU', async () => {
  const rows = ['the cat sat on the mat', 'a cat and the rat'];
  const settings = { rows, steps: 3, batchSize: 2 };
  const values = await ggufSteps(file, { ...settings, device: 'webgpu' });
  const wanted = await ggufSteps(file, { ...settings, device: 'cpu' });
  expect(values.length).toBe(6);
  values.forEach((value, at) => expect(Math.abs(value - (wanted[at] ?? NaN))).toBeLessThan(1e-4 * Math.abs(value)));
});
