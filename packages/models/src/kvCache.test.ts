import { compile, persistent, reshape } from '@lowrank/tensor';
import { ReferenceBackend } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { openFolder } from './files.js';
import { createGenerator } from './generate.js';
import { kvCacheFor, kvCaches } from './kvCache.js';
import type { KvCache } from './kvCache.js';
import { loadCausalModel } from './load.js';
import { goldenFolder, openGolden } from './testing.js';

const backend = new ReferenceBackend();
const model = await loadCausalModel(await openFolder(goldenFolder('tied')));
const { answers } = await openGolden('tied');
const { layers, keyHeads, headSize, hiddenSize } = model.shape;

/** Logits of a prompt's tokens, as they are read after `past`, with a cache of 32 places. */
async function logitsAfter(past: readonly number[], prompt: readonly number[], dtype: KvCache): Promise<Float32Array> {
  const cache = () => persistent([1, 32, keyHeads, headSize], { dtype });
  const caches = Array.from({ length: layers }, () => ({ keys: cache(), values: cache() }));
  const read = compile(backend, ({ ids, positions, lengths }) => {
    if (ids === undefined || positions === undefined) throw new TypeError('two inputs');
    const hidden = model.hidden(ids, { positions, lengths }, caches);
    return { logits: model.logits(reshape(hidden, [ids.size, hiddenSize])) };
  });
  let logits = new Float32Array();
  for (const [start, ids] of [
    [0, past],
    [past.length, prompt],
  ] as const) {
    const shape = [1, ids.length];
    const { logits: pending } = await read.run({
      ids: { data: Int32Array.from(ids), shape },
      positions: { data: Int32Array.from(ids, (_, at) => start + at), shape },
      lengths: { data: Int32Array.of(start), shape: [1] },
    });
    logits = Float32Array.from(await pending);
  }
  await read.dispose();
  return logits;
}

test('logits over a cache in f16 stay within 2e-3 of the largest, and greedy texts are the same', async () => {
  const past = [1, 9, 33, 7, 61, 20, 5];
  const [exact, rounded] = [await logitsAfter(past, [12, 8], 'f32'), await logitsAfter(past, [12, 8], 'f16')];
  const largest = exact.reduce((top, logit) => Math.max(top, Math.abs(logit)), 0);
  const error = exact.reduce((worst, logit, at) => Math.max(worst, Math.abs(logit - (rounded[at] ?? NaN))), 0);
  expect(error).toBeLessThan(2e-3 * largest);
  expect(error).toBeGreaterThan(0);
  for (const { promptIds, ids } of answers.greedy.base) {
    const generator = createGenerator(model, { backend, kvCache: 'f16' });
    const [text] = await generator.generate([promptIds], { maxNewTokens: 8 });
    expect(text?.ids).toEqual(ids.slice(0, 8));
    await generator.dispose();
  }
});

test('half the memory', async () => {
  const bytes: Record<string, number> = {};
  for (const kvCache of kvCaches) {
    const before = backend.memory.bytes;
    const generator = createGenerator(model, { backend, kvCache });
    await generator.generate([[1, 2]], { maxNewTokens: 2 });
    bytes[kvCache] = backend.memory.bytes - before;
    await generator.dispose();
  }
  const elements = 2 * layers * 16 * keyHeads * headSize;
  expect((bytes['f32'] ?? 0) - (bytes['f16'] ?? 0)).toBe(2 * elements);
});

test('the default goes by the precision; an odd place is refused by name, or kept in f32', () => {
  const { spec } = backend;
  const even = { keyHeads: 2, headSize: 8 };
  const odd = { keyHeads: 1, headSize: 5 };
  expect(kvCacheFor(undefined, { spec }, even)).toBe('f32');
  expect(kvCacheFor(undefined, { spec: { ...spec, precision: 'mixed' } }, even)).toBe('f16');
  expect(kvCacheFor(undefined, { spec: { ...spec, precision: 'mixed' } }, odd)).toBe('f32');
  expect(kvCacheFor('f16', { spec }, even)).toBe('f16');
  expect(() => kvCacheFor('f16', { spec }, odd)).toThrow(
    'a cache in f16: expected key heads times head size even, got 1 times 5. Keep the cache in f32.',
  );
});
