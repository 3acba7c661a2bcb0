import { describe, expect, test } from 'vitest';
import * as op from './entries/op.js';
import * as lr from './index.js';
import type { Tensor } from './index.js';
import { grad, mul, Rng, sum, tensor } from './index.js';
import { coreOps } from './entries/backend.js';
import { evaluateReference } from './entries/op.js';
import { apply, applyAll } from './op.js';

/**
 * Every differentiable op: the gradient that `grad` derives, evaluated by the references, against central differences
 * of the reference forward pass, all in double precision. L = Σ c·f(x) with random c, so that every output element
 * counts.
 */
const rng = new Rng(3);
const ints = (values: number[], shape: number[]): Tensor => tensor(Int32Array.from(values), shape);

interface Case {
  readonly inputs: readonly Tensor[];
  readonly fn: (...inputs: Tensor[]) => Tensor | Tensor[];
}

// Leaves are f32, so that shape rules apply; the references compute in f64 whatever the stated dtype.
const uniform = (shape: readonly number[], low: number, high: number): Tensor =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => low + (high - low) * rng.uniform()),
    shape,
  );
const x = (...shape: number[]): Tensor => uniform(shape, -1, 1);
const positive = (...shape: number[]): Tensor => uniform(shape, 0.5, 2);
const [x0, x1] = [x(4, 3), x(4, 3)];

const documents = ints([0, 3, 0, 3, 0, 3, 3, 7, 3, 7, 3, 7, 3, 7], [1, 7, 2]);
const cases: Record<string, Case> = {
  neg: { inputs: [x(3, 5)], fn: (a) => lr.neg(a) },
  exp: { inputs: [x(7)], fn: (a) => lr.exp(a) },
  log: { inputs: [positive(7)], fn: (a) => lr.log(lr.add(lr.square(a), 0.3)) },
  sqrt: { inputs: [x(7)], fn: (a) => lr.sqrt(lr.add(lr.square(a), 0.3)) },
  rsqrt: { inputs: [x(7)], fn: (a) => lr.rsqrt(lr.add(lr.square(a), 0.3)) },
  square: { inputs: [x(7)], fn: (a) => lr.square(a) },
  abs: { inputs: [x(7)], fn: (a) => lr.abs(a) },
  sin: { inputs: [x(7)], fn: (a) => lr.sin(a) },
  cos: { inputs: [x(7)], fn: (a) => lr.cos(a) },
  tanh: { inputs: [x(7)], fn: (a) => lr.tanh(a) },
  sigmoid: { inputs: [x(7)], fn: (a) => lr.sigmoid(a) },
  silu: { inputs: [x(7)], fn: (a) => lr.silu(a) },
  geluTanh: { inputs: [x(7)], fn: (a) => lr.geluTanh(a) },
  gelu: { inputs: [x(7)], fn: (a) => lr.gelu(lr.mul(a, 4)) },
  normalCdf: { inputs: [x(7)], fn: (a) => op.normalCdf(lr.mul(a, 4)) },
  relu: { inputs: [x(7)], fn: (a) => lr.relu(a) },
  'add, broadcast': { inputs: [x(3, 5), x(5)], fn: (a, b) => lr.add(a, b) },
  'sub, broadcast both ways': { inputs: [x(3, 1), x(1, 5)], fn: (a, b) => lr.sub(a, b) },
  mul: { inputs: [x(3, 5), x(3, 1)], fn: (a, b) => lr.mul(a, b) },
  'mul by itself': { inputs: [x(5)], fn: (a) => lr.mul(a, a) },
  div: { inputs: [x(3, 5), positive(5)], fn: (a, b) => lr.div(a, lr.add(lr.square(b), 0.5)) },
  minimum: { inputs: [x(11), x(11)], fn: (a, b) => lr.minimum(a, b) },
  maximum: { inputs: [x(11), x(11)], fn: (a, b) => lr.maximum(a, b) },
  where: { inputs: [x(11), x(11)], fn: (a, b) => lr.where(lr.less(a, 0), a, b) },
  'where, by an outer condition': { inputs: [x(4, 1), x(3)], fn: (a, b) => lr.where(tensor([1, 0, 1], [3]), a, b) },
  'pow of a whole number': { inputs: [x(11)], fn: (a) => lr.pow(a, 7) },
  'pow of a negative whole number': { inputs: [x(11)], fn: (a) => lr.pow(lr.add(a, 2), -3) },
  'pow of a root': { inputs: [positive(11)], fn: (a) => lr.pow(a, 1.7) },
  'pow of a tensor': { inputs: [positive(3, 5), x(5)], fn: (a, b) => lr.pow(a, b) },
  softmax: { inputs: [x(3, 5)], fn: (a) => lr.softmax(lr.mul(a, 4)) },
  'softmax over rows': { inputs: [x(3, 5)], fn: (a) => lr.softmax(a, { axis: 0 }) },
  logSoftmax: { inputs: [x(2, 3, 5)], fn: (a) => lr.logSoftmax(lr.mul(a, 4), { axis: 1 }) },
  crossEntropy: { inputs: [x(4, 7)], fn: (a) => lr.crossEntropy(a, ints([1, -100, 6, 0], [4])) },
  'crossEntropy, summed': {
    inputs: [x(2, 2, 7)],
    fn: (a) => lr.crossEntropy(a, ints([1, -100, 6, 0], [2, 2]), { reduction: 'sum' }),
  },
  'mean over axes': { inputs: [x(3, 5, 2)], fn: (a) => lr.mean(a, { axis: [0, 2] }) },
  broadcastTo: { inputs: [x(3, 1)], fn: (a) => lr.broadcastTo(a, [2, 3, 4]) },
  'sum of an axis': { inputs: [x(3, 5, 2)], fn: (a) => lr.sum(a, { axis: 1 }) },
  'sum of outer and inner axes': { inputs: [x(3, 5, 2)], fn: (a) => lr.sum(a, { axis: [0, 2], keepDims: true }) },
  mean: { inputs: [x(3, 5)], fn: (a) => lr.mean(a) },
  max: { inputs: [x(3, 5)], fn: (a) => lr.max(a, { axis: -1 }) },
  'matmul nn': { inputs: [x(3, 5), x(5, 2)], fn: (a, b) => lr.matmul(a, b) },
  'matmul nt': { inputs: [x(3, 5), x(2, 5)], fn: (a, b) => lr.matmul(a, b, { transposeB: true }) },
  'matmul tn': { inputs: [x(5, 3), x(5, 2)], fn: (a, b) => lr.matmul(a, b, { transposeA: true }) },
  'matmul tt': { inputs: [x(5, 3), x(2, 5)], fn: (a, b) => lr.matmul(a, b, { transposeA: true, transposeB: true }) },
  'matmul, batched': { inputs: [x(2, 3, 5), x(2, 5, 2)], fn: (a, b) => lr.matmul(a, b) },
  'matmul, folded': { inputs: [x(2, 3, 5), x(4, 5)], fn: (a, b) => lr.linear(a, b) },
  reshape: { inputs: [x(3, 4)], fn: (a) => lr.square(lr.reshape(a, [2, -1])) },
  viewAt: { inputs: [x(12)], fn: (a) => lr.square(op.viewAt(a, 3, [2, 3])) },
  packAt: { inputs: [x(3), x(2, 2)], fn: (a, b) => lr.square(op.packAt([a, b], [1, 5], 11)) },
  permute: { inputs: [x(2, 3, 4)], fn: (a) => lr.square(lr.permute(a, [2, 0, 1])) },
  slice: { inputs: [x(3, 5, 2)], fn: (a) => lr.square(lr.slice(a, 1, 1, 4)) },
  pad: { inputs: [x(2, 3)], fn: (a) => lr.square(lr.pad(a, [1, 0], [0, 2])) },
  concat: { inputs: [x(2, 3), x(2, 1)], fn: (a, b) => lr.square(lr.concat([a, b], 1)) },
  embedding: { inputs: [x(5, 3)], fn: (a) => lr.square(lr.embedding(a, ints([1, 4, 1, 0], [2, 2]))) },
  rmsNorm: { inputs: [x(3, 5), x(5)], fn: (a, w) => lr.rmsNorm(a, w, 1e-2) },
  'rmsNorm with offset': { inputs: [x(3, 5), x(5)], fn: (a, w) => lr.rmsNorm(a, w, 1e-2, 1) },
  layerNorm: { inputs: [x(3, 5), x(5), x(5)], fn: (a, w, b) => lr.layerNorm(a, w, b, 1e-2) },
  'layerNorm, more axes': { inputs: [x(2, 3, 4), x(4), x(4)], fn: (a, w, b) => lr.layerNorm(a, w, b, 1e-2) },
  rope: { inputs: [x(1, 3, 2, 6)], fn: (a) => lr.rope(a, x0, x1, ints([0, 3, 1], [1, 3])) },
  swiglu: { inputs: [x(3, 5), x(3, 5)], fn: (a, b) => lr.swiglu(a, b) },
  'attention, documents, grouped queries': {
    inputs: [x(1, 7, 4, 3), x(1, 7, 2, 3), x(1, 7, 2, 3)],
    fn: (q, k, v) => lr.attention(q, k, v, { segments: documents }),
  },
  'attention, window': {
    inputs: [x(2, 6, 1, 5), x(2, 6, 1, 5), x(2, 6, 1, 5)],
    fn: (q, k, v) => lr.attention(q, k, v, { window: 3 }),
  },
  'attention, window on both sides': {
    inputs: [x(1, 7, 2, 3), x(1, 7, 2, 3), x(1, 7, 2, 3)],
    fn: (q, k, v) => lr.attention(q, k, v, { causal: false, window: 3 }),
  },
  'attention, not causal, more keys': {
    inputs: [x(1, 2, 2, 3), x(1, 5, 1, 3), x(1, 5, 1, 3)],
    fn: (q, k, v) => lr.attention(q, k, v, { causal: false, scale: 0.3 }),
  },
  'attention, soft cap and window': {
    inputs: [x(1, 5, 2, 3), x(1, 5, 1, 3), x(1, 5, 1, 3)],
    fn: (q, k, v) => lr.attention(q, k, v, { scale: 2, softcap: 0.8, window: 3 }),
  },
  'attention, causal, more keys': {
    inputs: [x(1, 2, 2, 3), x(1, 5, 1, 3), x(1, 5, 1, 3)],
    fn: (q, k, v) => lr.attention(q, k, v),
  },
  linearCrossEntropy: {
    inputs: [x(5, 3), x(7, 3)],
    fn: (a, w) => lr.linearCrossEntropy(a, w, ints([1, -100, 6, 0, 3], [5]), { chunkRows: 2 }),
  },
  // Two low-rank terms, the second without an A of its own, over chunks of rows that do not divide.
  'linearCrossEntropy, adapted': {
    inputs: [x(5, 3), x(7, 3), x(2, 3), x(7, 2)],
    fn: (a, w, left, right) =>
      lr.linearCrossEntropy(a, w, ints([1, -100, 6, 0, 3], [5]), {
        chunkRows: 2,
        terms: [
          { h: lr.mul(lr.linear(a, left), 0.7), b: right },
          { h: lr.slice(a, 1, 1, 2), b: lr.slice(w, 1, 0, 1) },
        ],
      }),
  },
  'linearCrossEntropy, adapted and capped': {
    inputs: [x(5, 3), x(7, 3), x(2, 3), x(7, 2)],
    fn: (a, w, left, right) =>
      lr.linearCrossEntropy(a, w, ints([1, -100, 6, 0, 3], [5]), {
        chunkRows: 2,
        softcap: 0.7,
        terms: [{ h: lr.linear(a, left), b: right }],
      }),
  },
  'linearCrossEntropy, smoothed and with z-loss': {
    inputs: [x(5, 3), x(7, 3)],
    fn: (a, w) =>
      lr.linearCrossEntropy(a, w, ints([1, -100, 6, 0, 3], [5]), {
        chunkRows: 2,
        softcap: 0.7,
        labelSmoothing: 0.1,
        zLoss: 0.02,
      }),
  },
  'linearCrossEntropy, capped': {
    inputs: [x(5, 3), x(7, 3)],
    fn: (a, w) => lr.linearCrossEntropy(a, w, ints([1, -100, 6, 0, 3], [5]), { chunkRows: 2, softcap: 0.7 }),
  },
  // Each row with a gradient of its own: those of W and B are made from logits that are computed again.
  'linearCrossEntropy, row by row': {
    inputs: [x(5, 3), x(7, 3), x(2, 3), x(7, 2)],
    fn: (a, w, left, right) =>
      lr.square(
        lr.linearCrossEntropy(a, w, ints([1, -100, 6, 0, 3], [5]), {
          chunkRows: 2,
          softcap: 0.7,
          reduction: 'none',
          terms: [
            { h: lr.mul(lr.linear(a, left), 0.7), b: right },
            { h: lr.slice(a, 1, 1, 2), b: lr.slice(w, 1, 0, 1) },
          ],
        }),
      ),
  },
  softCapped: { inputs: [x(3, 5)], fn: (a) => op.softCapped(a, 0.6) },
  squaredNorm: { inputs: [x(3, 5)], fn: (a) => op.squaredNorm(a) },
  cast: { inputs: [x(4)], fn: (a) => lr.square(apply(coreOps.cast, [a], { dtype: 'f32' as const })) },
  dropout: {
    inputs: [x(40)],
    fn: (a) => lr.dropout(a, 0.4, { seed: lr.scalar(1, { dtype: 'u32' }), step: lr.scalar(2, { dtype: 'u32' }) }, 3),
  },
  'stopGradient elsewhere': { inputs: [x(4)], fn: (a) => lr.add(a, lr.stopGradient(lr.zeros([4]))) },
};

async function values(t: Tensor): Promise<Float64Array> {
  const [v] = await evaluateReference([t]);
  return v ?? new Float64Array();
}

describe('gradients against central differences in f64', () => {
  for (const [name, { inputs, fn }] of Object.entries(cases)) {
    test(name, async () => {
      const made = fn(...inputs);
      const outputs = Array.isArray(made) ? made : [made];
      const weights = outputs.map((output) => x(...output.shape));
      const loss = outputs.map((output, at) => sum(mul(output, weights[at] ?? 1))).reduce((a, b) => lr.add(a, b));
      const gradients = await evaluateReference(grad(loss, inputs));
      for (const [at, input] of inputs.entries()) {
        const base = await values(input);
        const h = 1e-5;
        for (let i = 0; i < base.length; i++) {
          const at2 = async (delta: number): Promise<number> => {
            const moved = base.slice();
            moved[i] = (moved[i] ?? NaN) + delta;
            const [value] = await evaluateReference([loss], new Map([[input.node, moved]]));
            return value?.[0] ?? NaN;
          };
          const slope = ((await at2(h)) - (await at2(-h))) / (2 * h);
          expect(Math.abs((gradients[at]?.[i] ?? NaN) - slope)).toBeLessThan(1e-6 * Math.max(1, Math.abs(slope)));
        }
      }
    });
  }

  test('every op with a gradient rule is among the cases', async () => {
    const { topological } = await import('./reference.js');
    const covered = new Set<string>();
    for (const { inputs, fn } of Object.values(cases)) {
      const made = fn(...inputs);
      for (const node of topological(Array.isArray(made) ? made : [made]))
        if (node.kind === 'op') covered.add(node.op.name);
    }
    const differentiable = Object.values(coreOps)
      .filter((op) => 'vjp' in op)
      .map(({ name }) => name);
    // scatterAddRows is the gradient of gatherRows; its own rule is checked below.
    expect(differentiable.filter((name) => !covered.has(name) && name !== 'scatterAddRows')).toEqual([]);
  });

  test('scatterAddRows', async () => {
    const g = x(4, 3);
    const ids = ints([2, 0, 2, 1], [4]);
    const [out] = applyAll(coreOps.scatterAddRows, [g, ids], { rows: 5 });
    const weight = x(5, 3);
    if (out === undefined) throw new TypeError();
    const [dg] = await evaluateReference(grad(sum(mul(out, weight)), [g]));
    const w = await values(weight);
    expect(Array.from(dg ?? [])).toEqual([2, 0, 2, 1].flatMap((id) => Array.from(w.slice(id * 3, id * 3 + 3))));
  });
});

test('the gradient of something that is no number is refused by name', () => {
  const a = x(3);
  expect(() => grad(a, [a])).toThrow(/grad: expected a loss of one element/);
});

test('a parameter that the loss does not depend on gets zeros', async () => {
  const a = x(3);
  const [g] = await evaluateReference(grad(sum(lr.full([2], 1)), [a]));
  expect(Array.from(g ?? [])).toEqual([0, 0, 0]);
});
