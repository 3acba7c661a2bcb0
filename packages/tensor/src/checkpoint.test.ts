import { describe, expect, test } from 'vitest';
import {
  add,
  assign,
  attention,
  checkpoint,
  compile,
  dropout,
  grad,
  linear,
  linearCrossEntropy,
  mul,
  readTensor,
  reshape,
  rmsNorm,
  Rng,
  scalar,
  square,
  stopGradient,
  sum,
  swiglu,
  tensor,
} from './index.js';
import { dumpPlan, planCost, planFunction, runUnplanned } from './entries/backend.js';
import { evaluateReference, ReferenceBackend, scope, withGradient } from './entries/op.js';
import type { RandomState, Tensor } from './index.js';

const [rows, width, inner, vocabulary, depth] = [96, 8, 12, 20, 5];
const data = Float32Array.from({ length: rows * width }, (_, at) => Math.sin(at * at));
const input = { x: { data, shape: [rows, width] } };
const specs = { x: { shape: [rows, width], dtype: 'f32' as const } };

type Block = <T>(fn: () => T) => T;
const plainly: Block = (fn) => fn();

/** A decoder with LoRA and dropout in each layer: from x to loss and gradients. */
function model(block: Block): (inputs: Record<string, Tensor>) => Record<string, Tensor> {
  const rng = new Rng(5);
  const weights = (...shape: number[]): Tensor =>
    tensor(
      Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.normal() * 0.4),
      shape,
    );
  const random: RandomState = { seed: scalar(3, { dtype: 'u32' }), step: scalar(1, { dtype: 'u32' }) };
  const layers = Array.from({ length: depth }, () => ({
    norm: weights(width),
    mix: weights(width, width),
    gate: weights(inner, width),
    up: weights(inner, width),
    down: weights(width, inner),
    a: weights(2, width),
    b: weights(width, 2),
  }));
  const table = weights(vocabulary, width);
  const labels = tensor(
    Int32Array.from({ length: rows }, (_, at) => (at % 5 === 0 ? -100 : at % vocabulary)),
    [rows],
  );
  const trained = layers.flatMap(({ norm, a, b }) => [norm, a, b]);
  const layer = (h: Tensor, { norm, mix, gate, up, down, a, b }: (typeof layers)[number], at: number): Tensor => {
    const normed = rmsNorm(h, norm, 1e-5);
    const wet = dropout(normed, 0.25, random, at);
    const heads = reshape(add(linear(normed, mix), linear(linear(wet, a), b)), [1, rows, 2, width / 2]);
    const middle = add(h, reshape(attention(heads, heads, heads), [rows, width]));
    return add(middle, linear(swiglu(linear(middle, gate), linear(middle, up)), down));
  };
  return ({ x }) => {
    if (x === undefined) throw new TypeError('x');
    const top = layers.reduce((h, weight, at) => scope(`layers.${at}`, () => block(() => layer(h, weight, at))), x);
    const loss = linearCrossEntropy(top, table, labels);
    return { loss, ...Object.fromEntries(grad(loss, trained).map((g, at) => [`g${at}`, g])) };
  };
}

async function planned(block: Block, fusion: boolean): Promise<number[][]> {
  const compiled = compile(new ReferenceBackend(), model(block), { fusion });
  const results = await compiled.run(input);
  const values = await Promise.all(Object.values(results).map(async (value) => Array.from(await value)));
  await compiled.dispose();
  return values;
}

async function unplanned(block: Block): Promise<number[][]> {
  const backend = new ReferenceBackend();
  const compiled = compile(backend, model(block));
  return Object.values(await runUnplanned(backend, compiled.trace(specs), input)).map((values) => Array.from(values));
}

const planOf = (block: Block) => planFunction(model(block), specs, new ReferenceBackend().spec);
const count = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0;

describe('a checkpointed training graph', () => {
  test('has the same loss and gradients, to the bit where fusion is the same', async () => {
    const plain = await planned(plainly, false);
    expect(plain.length).toBe(1 + 3 * depth);
    expect(plain.every((values) => values.some((value) => value !== 0))).toBe(true);
    expect(await planned(checkpoint, false)).toEqual(plain);
    expect(await unplanned(checkpoint)).toEqual(await unplanned(plainly));
  });

  test('stays within 1e-6 where it fuses otherwise', async () => {
    const [plain, twice] = [await planned(plainly, true), await planned(checkpoint, true)];
    twice.forEach((values, at) => {
      const scale = Math.max(...(plain[at] ?? []).map(Math.abs));
      values.forEach((value, i) => expect(Math.abs(value - (plain[at]?.[i] ?? NaN))).toBeLessThanOrEqual(1e-6 * scale));
    });
  });

  test('runs each block a second time, right before its gradient, and needs less memory', () => {
    const [plain, twice] = [planOf(plainly), planOf(checkpoint)];
    const [before, after] = [dumpPlan(plain), dumpPlan(twice)];
    expect([count(before, / = attention\(/g), count(after, / = attention\(/g)]).toEqual([depth, 2 * depth]);
    expect([count(before, / = random\(/g), count(after, / = random\(/g)]).toEqual([depth, 2 * depth]);
    expect(count(after, / = attention\(.*layers\.\d \(recomputed\)/g)).toBe(depth);
    const order = twice.steps
      .filter(({ op }) => op.startsWith('attention'))
      .map(({ op, scope: path }) => `${op} ${path}`);
    const backward = Array.from({ length: depth }, (_, at) => depth - 1 - at).flatMap((at) => [
      `attention layers.${at} (recomputed)`,
      `attentionBackward layers.${at}`,
    ]);
    expect(order.slice(depth)).toEqual(backward);
    // Of a block, the forward pass keeps its input alone: what one block needs at once, and an input per block.
    const [whole, saved] = [planCost(plain).arenaBytes, planCost(twice).arenaBytes];
    expect(saved).toBeLessThan(0.6 * whole);
    expect(planCost(twice).flops).toBeLessThan(1.4 * planCost(plain).flops);
  });

  test('the forward pass alone is what it was', () => {
    const forward = (block: Block) =>
      planFunction(
        (inputs) => ({ loss: model(block)(inputs)['loss'] ?? tensor(0) }),
        specs,
        new ReferenceBackend().spec,
      );
    expect(dumpPlan(forward(checkpoint))).toBe(dumpPlan(forward(plainly)));
  });
});

test('a block may have several results, take no parameter, and hold another block', async () => {
  const [w, x] = [tensor([0.5, -2, 1.5]), tensor([1, 2, 3])];
  const fn = (block: Block): Tensor[] => {
    const { p, q } = block(() => ({ p: mul(square(w), x), q: block(() => add(square(w), x)) }));
    const fixed = block(() => square(x));
    return grad(sum(mul(mul(p, q), fixed)), [w]);
  };
  expect(await evaluateReference(fn(checkpoint))).toEqual(await evaluateReference(fn(plainly)));
});

test('a gradient rule that knows tensors of its block does not keep them alive', async () => {
  const x = tensor([1, -2, 3]);
  const fn = (block: Block): Tensor[] => {
    const y = block(() => {
      const wide = square(square(x));
      const slope = scope('slope', () => mul(mul(stopGradient(square(x)), x), 4));
      return withGradient(sum(wide), [x], (g) => [mul(g, slope)]);
    });
    return grad(square(y), [x]);
  };
  const [values] = await evaluateReference(fn(checkpoint));
  expect(Array.from(values ?? [])).toEqual([1, -8, 27].map((cube) => 4 * cube * 2 * (1 + 16 + 81)));
  const { steps } = planFunction(() => ({ g: fn(checkpoint)[0] ?? x }), {}, new ReferenceBackend().spec, {
    fusion: false,
  });
  expect(new Set(steps.map(({ scope: path }) => path).filter((path) => path.includes('slope')))).toEqual(
    new Set(['slope (recomputed)']),
  );
});

test('a donated argument is read by the recomputation before it is overwritten', async () => {
  const backend = new ReferenceBackend();
  const run = async (block: Block): Promise<number[]> => {
    const step = compile(backend, ({ w }) => {
      if (w === undefined) throw new TypeError('w');
      const loss = sum(block(() => square(square(add(w, 1)))));
      const [g] = grad(loss, [w]);
      assign(w, add(w, mul(g ?? w, -0.01)));
      return { loss };
    });
    using w = tensor([0.5, -3, 2]);
    for (let at = 0; at < 3; at++) await (await step.run({ w })).loss;
    const values = Array.from(await readTensor(w));
    await step.dispose();
    return values;
  };
  expect(await run(checkpoint)).toEqual(await run(plainly));
});
