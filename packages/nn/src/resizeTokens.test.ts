import { readTensor, tensor } from '@lowrank/tensor';
import type { DType } from '@lowrank/tensor';
import { expect, test } from 'vitest';
import { Embedding } from './embedding.js';
import { Linear } from './linear.js';
import { Module } from './module.js';
import { isResized, resizeTokens } from './resizeTokens.js';
import { TiedLinear } from './tiedLinear.js';

class Tiny extends Module {
  readonly embeddingPath = 'tokens';
  override readonly outputPath = 'head';
  readonly shape = { vocabularySize: 2 };
  readonly tokens: Embedding;
  readonly head: Linear;

  constructor(tied: boolean, dtype: Extract<DType, 'f32' | 'bf16'> = 'f32') {
    super();
    const bits = new Uint16Array([0x3f80, 0x4000, 0x4040, 0xc080]);
    const table = dtype === 'f32' ? new Float32Array([1, 2, 3, -4]) : bits;
    this.tokens = this.child('tokens', new Embedding(tensor(table, [2, 2], { dtype })));
    this.head = this.child(
      'head',
      tied ? new TiedLinear(this.tokens.weight) : new Linear(tensor(new Float32Array([5, 6, 7, 10]), [2, 2])),
    );
  }
}

test('new rows are the mean of the old, in both tables; fewer tokens are the first', async () => {
  const model = new Tiny(false);
  expect(isResized(model)).toBe(false);
  await resizeTokens(model, 4);
  expect(model.shape.vocabularySize).toBe(4);
  expect(await readTensor(model.tokens.weight.tensor)).toEqual(new Float32Array([1, 2, 3, -4, 2, -1, 2, -1]));
  expect(await readTensor(model.head.weight.tensor)).toEqual(new Float32Array([5, 6, 7, 10, 6, 8, 6, 8]));
  expect(isResized(model)).toBe(true);
  await resizeTokens(model, 1);
  expect(await readTensor(model.head.weight.tensor)).toEqual(new Float32Array([5, 6]));
});

test('tied, there is one table; in 16 bits it stays so', async () => {
  const model = new Tiny(true, 'bf16');
  await resizeTokens(model, 3);
  const { tensor: table } = model.tokens.weight;
  expect([table.dtype, table.shape, model.head.weight.tensor]).toEqual(['bf16', [3, 2], table]);
  expect(await readTensor(table)).toEqual(new Uint16Array([0x3f80, 0x4000, 0x4040, 0xc080, 0x4000, 0xbf80]));
});

test('refused by name', async () => {
  await expect(resizeTokens(new Tiny(true), 1.5)).rejects.toThrow(/resizing to 1.5 tokens: expected a whole number/);
  const model = new Tiny(true);
  const changed = Object.assign(model, { embeddingPath: 'nothing' });
  await expect(resizeTokens(changed, 3)).rejects.toThrow(/adapters on its tokens/);
});
