import { it } from 'vitest';
import { describeKernel, exactInHalf, given, randomInput, referenceOf, rowTiers } from '../testing/kernelHarness.js';
import type { KernelCase, TestInput } from '../testing/kernelHarness.js';

interface Case {
  readonly batch?: number;
  readonly queries: number;
  readonly keys?: number;
  readonly heads?: number;
  readonly keyHeads?: number;
  readonly size: number;
  readonly causal?: boolean;
  readonly window?: number;
  readonly softcap?: number;
  /** Default 1/√size. */
  readonly scale?: number;
  /** Lengths of the documents of every row. */
  readonly documents?: readonly number[];
  readonly lengths?: readonly number[];
  /** What keys and values are kept in. */
  readonly cache?: 'f32' | 'f16';
}

function forward({
  batch = 2,
  queries,
  keys = queries,
  heads = 2,
  keyHeads = heads,
  size,
  causal = true,
  window = 0,
  softcap = 0,
  scale = 1 / Math.sqrt(size),
  documents,
  lengths,
  cache = 'f32',
}: Case): KernelCase {
  const bounds = documents?.flatMap((length, at) => {
    const start = documents.slice(0, at).reduce((a, b) => a + b, 0);
    return Array.from({ length }, () => [start, start + length]).flat();
  });
  const masks: TestInput[] = [];
  if (bounds !== undefined)
    masks.push(given(Array.from({ length: batch }, () => bounds).flat(), [batch, keys, 2], 'i32'));
  if (lengths !== undefined) masks.push(given(lengths, [batch], 'i32'));
  return {
    op: 'attention',
    attrs: {
      causal,
      scale,
      window,
      softcap,
      segments: documents !== undefined,
      lengths: lengths !== undefined,
    },
    inputs: [
      randomInput([batch, queries, heads, size], 1),
      randomInput([batch, keys, keyHeads, size], 2, cache),
      randomInput([batch, keys, keyHeads, size], 3, cache),
      ...masks,
    ],
  };
}

function backward(options: Case): KernelCase {
  const test = forward(options);
  const [o = new Float64Array(), lse = new Float64Array()] = referenceOf(test);
  const [q, k, v, ...masks] = test.inputs;
  if (q === undefined || k === undefined || v === undefined) throw new TypeError('attention has three operands');
  const [batch = 1, queries = 1, heads = 1] = q.shape;
  const output: TestInput = { shape: q.shape, dtype: 'f32', data: Float32Array.from(o) };
  const sums: TestInput = { shape: [batch, heads, queries], dtype: 'f32', data: Float32Array.from(lse) };
  return { ...test, op: 'attentionBackward', inputs: [q, k, v, output, sums, randomInput(q.shape, 4), ...masks] };
}

const trained: Record<string, Case> = {
  'a single position': { queries: 1, size: 4 },
  'causal, head of 5': { queries: 13, size: 5 },
  'causal, head of 32, over a tile': { queries: 67, size: 32, batch: 1 },
  'grouped queries, head of 48': { queries: 19, heads: 6, keyHeads: 2, size: 48, batch: 1 },
  'not causal': { queries: 11, size: 8, causal: false },
  'documents and padding': { queries: 23, size: 8, documents: [3, 11, 1, 8] },
  'documents that do not look ahead in a wide head': { queries: 17, size: 40, documents: [9, 8], batch: 1 },
  'a sliding window': { queries: 29, size: 8, window: 5 },
  'a window on both sides': { queries: 67, size: 8, causal: false, window: 5 },
  'a soft cap, heads of 6': { queries: 18, size: 6, softcap: 0.6, heads: 4, keyHeads: 2 },
  'a soft cap within a window and documents, head of 72': {
    queries: 21,
    size: 72,
    softcap: 0.4,
    window: 7,
    documents: [13, 8],
    batch: 1,
  },
  'fewer queries than keys': { queries: 5, keys: 21, size: 8 },
  'head of 256': { queries: 9, size: 256, batch: 1, heads: 1 },
  'scores of which later ones are far higher': { queries: 70, size: 8, batch: 1, heads: 1, scale: 8 },
  'grouped queries over several tiles of documents in a window': {
    queries: 70,
    heads: 4,
    keyHeads: 2,
    size: 12,
    softcap: 0.6,
    window: 20,
    documents: [43, 27],
    batch: 1,
  },
};

/** Forward alone: caches have no gradient, and the gradient over four threads a head is shown by a head of 72. */
const forwardOnly: Record<string, Case> = {
  'head of 128': { queries: 9, size: 128, batch: 1, heads: 1 },
  'a cache being filled': { queries: 3, keys: 40, size: 16, lengths: [0, 17], heads: 4, keyHeads: 2 },
  'one token, soft cap and window': { queries: 1, keys: 40, size: 16, lengths: [39, 12], softcap: 0.5, window: 9 },
  'one token, keys in parts, of which some see nothing': {
    queries: 1,
    keys: 530,
    size: 12,
    lengths: [529, 1],
    heads: 4,
    keyHeads: 2,
  },
  'one token, full cache': { queries: 1, keys: 40, size: 16, lengths: [39, 12] },
  'a cache in f16 being filled': { queries: 3, keys: 40, size: 16, lengths: [0, 17], keyHeads: 1, cache: 'f16' },
  'one token, cache in f16 of heads of 5': { queries: 1, keys: 40, size: 5, lengths: [39, 12], cache: 'f16' },
  'one token, cache in f16 in parts': { queries: 1, keys: 530, size: 12, lengths: [529, 1], cache: 'f16' },
};

// Weights sum to 1 and values lie in [-1, 1]; the exponential's own error, 3 + 2|x| ulp, comes on top of the sums'.
const c = 64;

/** Wide heads that a software adapter runs as they are: in the unrolled form at 12, in the looped form at 48. */
const wideInSoftware = new Set(['grouped queries, head of 48', 'head of 256']);

describeKernel('attention', ({ check: checkAll, tier }) => {
  // Subgroup matrices round weights, and what they multiply, to 11 bits.
  const check: typeof checkAll = (test, bound) =>
    tier === 'matrices' ? checkAll(exactInHalf(test), { ...bound, c: c + 2 ** 13 }) : checkAll(test, bound);

  // Between real GPUs and heads the form differs by width: over how many threads a head lies. A software adapter has
  // one thread a head, unrolled up to 32 and in a loop beyond, and compiles for seconds what is wide.
  const fitted = (name: string, options: Case): Case =>
    tier === 'registers' && options.size > 16 && !wideInSoftware.has(name) ? { ...options, size: 12 } : options;

  it.each(Object.entries({ ...trained, ...forwardOnly }))('attends: %s', async (name, scene) => {
    const options = fitted(name, scene);
    await check(forward(options), { c, magnitude: 1 + Math.log(options.keys ?? options.queries) });
  });

  it.each(Object.entries(trained))('has its gradient: %s', async (name, scene) => {
    const options = fitted(name, scene);
    await check(backward(options), { c, magnitude: 4 + Math.sqrt(options.queries) });
  });

  it('gives zero to a query that sees nothing', async () => {
    const test = forward({ queries: 6, size: 8, batch: 1, heads: 1 });
    const bounds = given([0, 4, 0, 4, 0, 4, 0, 4, 0, 0, 0, 0], [1, 6, 2], 'i32');
    await check(
      { ...test, attrs: { ...test.attrs, segments: true }, inputs: [...test.inputs, bounds] },
      { c, magnitude: 3 },
    );
  });
});

// The portable tier's shader but for the sums over the threads of a head, which subgroups of 4 hold up to 64 wide.
describeKernel(
  'attention by shuffles',
  ({ check }) => {
    it.each(['grouped queries, head of 48'])('attends and has its gradient: %s', async (name) => {
      const options = trained[name];
      if (options === undefined) throw new TypeError(name);
      await check(forward(options), { c, magnitude: 1 + Math.log(options.queries) });
      await check(backward(options), { c, magnitude: 4 + Math.sqrt(options.queries) });
    });
  },
  rowTiers.filter((tier) => tier === 'subgroups'),
);
