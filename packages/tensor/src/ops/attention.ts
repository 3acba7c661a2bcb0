import { aBoolean, aNumber, options as optionsOf, signature } from '../arguments.js';
import { aTensor } from '../tensorKinds.js';
import { LowrankError } from '@lowrank/errors';
import { applyAll, defineOp } from '../op.js';
import type { Spec } from '../op.js';
import type { Tensor } from '../graph.js';
import { shapeError, showShape, sizeOf } from '../shape.js';

export interface AttentionAttrs {
  readonly causal: boolean;
  /** Factor on q·k, usually 1/√D. */
  readonly scale: number;
  /**
   * A query sees at most this many positions, its own included (Mistral's sliding window), and where attention is not
   * causal as many on the other side (ModernBERT's local layers); 0 for no limit.
   */
  readonly window: number;
  /** Scores s become softcap·tanh(s/softcap) before the mask (Gemma 2); 0 leaves them as they are. */
  readonly softcap: number;
  /** Optional inputs that are present, in this order after q, k, v: 'segments', 'lengths'. */
  readonly segments: boolean;
  readonly lengths: boolean;
}

/**
 * o = softmax(cap(scale·q·kᵀ) + mask)·v per head, where cap(s) is softcap·tanh(s/softcap), or s for a softcap of 0;
 * with grouped queries: query head h reads key head ⌊h·Hkv/Hq⌋ (Ainslie et al. 2023).
 *
 * Inputs: q [B, Tq, Hq, D], k and v [B, Tk, Hkv, D] (f16 where a cache keeps them so), then segments i32 [B, Tk, 2],
 * Tq = Tk: for each position the first index and one past the last index of its document within the row; a query sees
 * its own document only (packed rows, padding); lengths i32 [B]: how many keys of the row precede the first query (the
 * fill of a cache), so that query i sits at position lengths[b] + i. Keys at lengths[b] + Tq and beyond do not exist
 * yet. Without lengths query i sits at Tk − Tq + i. A query at position p sees key j when j is in its document, j > p −
 * window (window > 0) and j ≤ p (causal) or j < p + window (not causal, window > 0). Outputs: o [B, Tq, Hq, D] and the
 * log-sum-exp of each query's scores [B, Hq, Tq], for the backward pass. No Tq×Tk matrix is ever stored (Dao et al.
 * 2022).
 */
export const attentionOp = defineOp<'attention', AttentionAttrs>({
  name: 'attention',
  infer(inputs, attrs) {
    const { batch, queries, heads } = attentionSizes(inputs, attrs);
    const [q, k, v] = inputs;
    if (q?.dtype !== 'f32' || k?.dtype !== v?.dtype) failAttention('q in f32, k and v of one dtype', inputs);
    return [
      { shape: inputs[0]?.shape ?? [], dtype: 'f32' },
      { shape: [batch, heads, queries], dtype: 'f32' },
    ];
  },
  vjp({ inputs, outputs: [o, logSumExp], attrs, cotangents: [g] }) {
    const [q, k, v, ...masks] = inputs;
    if (
      q === undefined ||
      k === undefined ||
      v === undefined ||
      o === undefined ||
      logSumExp === undefined ||
      g === undefined
    )
      return [];
    if (attrs.lengths || k.dtype !== 'f32') {
      throw new LowrankError({
        code: 'tensor.gradient',
        what: `attention with ${attrs.lengths ? 'lengths (a cache)' : `keys in ${k.dtype}`}`,
        expected: 'a call without gradients',
        got: 'one',
        remedy: 'Train without a cache.',
      });
    }
    return applyAll(attentionBackward, [q, k, v, o, logSumExp, g, ...masks], attrs);
  },
  reference({ inputs: [q, k, v, ...masks], inputSpecs, outputs: [o, logSumExp], attrs }) {
    forEachQuery(inputSpecs, masks, attrs, ({ query, lse, keys }) => {
      const { size } = attentionSizes(inputSpecs, attrs);
      const scores = keys.map((key) => capped(dot([q, query], [k, key], size) * attrs.scale, attrs.softcap));
      const top = Math.max(...scores);
      const total = scores.reduce((sum, score) => sum + Math.exp(score - top), 0);
      logSumExp[lse] = top + Math.log(total);
      keys.forEach((key, at) => {
        const weight = Math.exp(scores[at] - top) / total;
        for (let i = 0; i < size; i++) o[query + i] += weight * v[key + i];
      });
    });
  },
  halves: () => ({ inputs: [0, 1, 2], outputs: [0] }),
  flops: (inputs, attrs) => attentionFlops(inputs, attrs, 2),
});

/**
 * Inputs: q, k, v, o, log-sum-exp, g = dL/do, then segments where present. Outputs dq, dk, dv: with p the attention
 * weights and δ = Σ g·o per query: dv = Σ p·g; ds = p·(g·v − δ)·scale, times 1 − (s/softcap)² of the capped score s
 * where there is a cap; dq = Σ ds·k; dk = Σ ds·q.
 */
export const attentionBackward = defineOp<'attentionBackward', AttentionAttrs>({
  name: 'attentionBackward',
  infer([q, k, v]) {
    return [q, k, v].map((spec) => ({ shape: spec?.shape ?? [], dtype: 'f32' as const }));
  },
  reference({ inputs, inputSpecs, outputs: [dq, dk, dv], attrs }) {
    const [q, k, v, o, logSumExp, g, ...masks] = inputs;
    const specs = [...inputSpecs.slice(0, 3), ...inputSpecs.slice(6)];
    const { size } = attentionSizes(specs, attrs);
    forEachQuery(specs, masks, attrs, ({ query, lse, keys }) => {
      const delta = dot([g, query], [o, query], size);
      for (const key of keys) {
        const score = capped(dot([q, query], [k, key], size) * attrs.scale, attrs.softcap);
        const p = Math.exp(score - logSumExp[lse]);
        const ds =
          p *
          (dot([g, query], [v, key], size) - delta) *
          attrs.scale *
          (attrs.softcap > 0 ? 1 - (score / attrs.softcap) ** 2 : 1);
        for (let i = 0; i < size; i++) {
          dv[key + i] += p * g[query + i];
          dq[query + i] += ds * k[key + i];
          dk[key + i] += ds * q[query + i];
        }
      }
    });
  },
  halves: () => ({ inputs: [0, 1, 2, 3, 5], outputs: [0, 1, 2] }),
  flops: (inputs, attrs) => attentionFlops([...inputs.slice(0, 3), ...inputs.slice(6)], attrs, 5),
});

interface AttentionSizes {
  batch: number;
  queries: number;
  keys: number;
  heads: number;
  keyHeads: number;
  size: number;
}

/** The sizes of an attention call, checked. `inputs` are q, k, v and the masks that `attrs` names. */
export function attentionSizes(inputs: readonly Spec[], attrs: AttentionAttrs): AttentionSizes {
  const [q, k, v, ...masks] = inputs;
  const [batch = 0, queries = 0, heads = 0, size = 0] = q?.shape ?? [];
  const [, keys = 0, keyHeads = 0] = k?.shape ?? [];
  const fail = (expected: string): never => failAttention(expected, inputs);
  if ([q, k, v].some((spec) => spec?.shape.length !== 4 || !storable(spec)))
    fail('q in f32, k and v in f32 or f16, of [B, T, H, D]');
  if (k?.shape.join() !== v?.shape.join() || k?.shape[0] !== batch || k.shape[3] !== size)
    fail('k and v of one shape, with the batch and head size of q');
  if (heads % keyHeads !== 0) fail(`query heads that are a multiple of the ${keyHeads} key heads`);
  if (size > 256) fail('a head size of at most 256');
  const segments = attrs.segments ? masks.shift() : undefined;
  const lengths = attrs.lengths ? masks.shift() : undefined;
  if (
    attrs.segments &&
    (segments?.dtype !== 'i32' || segments.shape.join() !== [batch, keys, 2].join() || queries !== keys)
  )
    fail('segments i32 [B, T, 2] and as many queries as keys');
  if (attrs.lengths && (lengths?.dtype !== 'i32' || sizeOf(lengths.shape) !== batch)) fail('lengths i32 [B]');
  if (!attrs.lengths && queries > keys) fail('no more queries than keys');
  return { batch, queries, keys, heads, keyHeads, size };
}

function failAttention(expected: string, inputs: readonly Spec[]): never {
  throw shapeError('attention', expected, inputs.map(({ shape, dtype }) => `${dtype}${showShape(shape)}`).join(', '));
}

/** f32, or f16 in whole words for each position. */
function storable(spec: Spec | undefined): boolean {
  return spec?.dtype === 'f32' || (spec?.dtype === 'f16' && sizeOf(spec.shape.slice(2)) % 2 === 0);
}

interface QueryVisit {
  /** First element of the query's row in q and o. */
  query: number;
  /** Its place in the log-sum-exp. */
  lse: number;
  /** First element of each visible key's row in k and v. */
  keys: number[];
}

function forEachQuery(
  specs: readonly Spec[],
  masks: readonly Float64Array[],
  attrs: AttentionAttrs,
  visit: (at: QueryVisit) => void,
): void {
  const { batch, queries, keys, heads, keyHeads, size } = attentionSizes(specs, attrs);
  const segments = attrs.segments ? masks[0] : undefined;
  const lengths = attrs.lengths ? masks[attrs.segments ? 1 : 0] : undefined;
  for (let b = 0; b < batch; b++) {
    const offset = lengths === undefined ? keys - queries : lengths[b];
    for (let i = 0; i < queries; i++) {
      const position = offset + i;
      const start = Math.max(
        segments?.[(b * keys + i) * 2] ?? 0,
        attrs.window > 0 ? position - attrs.window + 1 : 0,
        0,
      );
      const existing = Math.min(
        segments?.[(b * keys + i) * 2 + 1] ?? keys,
        lengths === undefined ? keys : offset + queries,
        keys,
      );
      const after = attrs.causal ? 1 : attrs.window > 0 ? attrs.window : Infinity;
      const end = Math.min(existing, position + after);
      for (let h = 0; h < heads; h++) {
        const keyHead = Math.floor((h * keyHeads) / heads);
        const visible: number[] = [];
        for (let j = start; j < end; j++) visible.push(((b * keys + j) * keyHeads + keyHead) * size);
        visit({ query: ((b * queries + i) * heads + h) * size, lse: (b * heads + h) * queries + i, keys: visible });
      }
    }
  }
}

/** The product of two rows of `size` elements, each given as an array and where its row starts. */
function dot([a, from]: Row, [b, at]: Row, size: number): number {
  let total = 0;
  for (let i = 0; i < size; i++) total += a[from + i] * b[at + i];
  return total;
}

function capped(score: number, softcap: number): number {
  return softcap > 0 ? softcap * Math.tanh(score / softcap) : score;
}

type Row = readonly [Float64Array, number];

/** An upper bound, since documents are data: `products` matrix products over the visible half (causal) of Tq×Tk. */
function attentionFlops(inputs: readonly Spec[], attrs: AttentionAttrs, products: number): number {
  const { batch, queries, keys, heads, size } = attentionSizes(inputs, attrs);
  const visible = attrs.causal ? queries * (keys - (queries - 1) / 2) : queries * keys;
  return 2 * products * batch * heads * size * visible;
}

/** Options of `attention`: which keys each query sees, and how scores are made. */
export interface AttentionOptions {
  /** i32 [B, T, 2]: the bounds of each position's document. */
  segments?: Tensor | undefined;
  /** i32 [B]: keys that precede the first query of each row. */
  lengths?: Tensor | undefined;
  /** Sliding window, in positions, on both sides where attention is not causal; 0 for none. */
  window?: number;
  causal?: boolean;
  /** Default 1/√D. */
  scale?: number;
  /** Bound of the scores, which tanh bends; 0 for none. */
  softcap?: number;
}

const checkAttention = signature('attention', {
  q: aTensor,
  k: aTensor,
  v: aTensor,
  options: optionsOf({
    segments: aTensor,
    lengths: aTensor,
    window: aNumber,
    causal: aBoolean,
    scale: aNumber,
    softcap: aNumber,
  }),
});

/** Scaled dot-product attention; see {@link attentionOp} for shapes and masks. */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  checkAttention(q, k, v, options);
  const { segments, lengths, window = 0, causal = true, scale = 1 / Math.sqrt(q.shape[3] ?? 1), softcap = 0 } = options;
  const inputs = [q, k, v, ...(segments === undefined ? [] : [segments]), ...(lengths === undefined ? [] : [lengths])];
  const [o] = applyAll(attentionOp, inputs, {
    causal,
    scale,
    window,
    softcap,
    segments: segments !== undefined,
    lengths: lengths !== undefined,
  });
  if (o === undefined) throw new TypeError('attention has no output');
  return o;
}
