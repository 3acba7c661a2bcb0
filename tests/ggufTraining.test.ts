import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { ggufSteps } from './helpers/ggufSteps.js';

const golden = (file: string): string => fileURLToPath(new URL(`../parity/golden/ggufBases/${file}`, import.meta.url));
const rows = ['the cat sat on the mat', 'a cat and the rat', '12345 in 2020', "she'd said: hello"];

test.each(['llama.gguf', 'kquants.gguf', 'gemma2.gguf'])(
  '%s: ten steps of LoRA over its codes are those over the numbers they stand for',
  async (file) => {
    const settings = { device: 'cpu', rows, steps: 10, batchSize: 2 } as const;
    const codes = await ggufSteps(golden(file), settings);
    const numbers = await ggufSteps(golden(file), { ...settings, dense: true });
    expect(codes.length).toBe(20);
    expect(codes[18]).toBeLessThan(codes[0] ?? 0);
    codes.forEach((value, at) => expect(Math.abs(value - (numbers[at] ?? NaN))).toBeLessThan(1e-4 * Math.abs(value)));
  },
);
