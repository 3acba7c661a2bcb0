import {
  add,
  assign,
  attention,
  compile,
  dropout,
  embedding,
  grad,
  linear,
  linearCrossEntropy,
  mul,
  persistent,
  readTensor,
  reshape,
  Rng,
  rmsNorm,
  rope,
  scalar,
  swiglu,
  tensor,
} from '@lowrank/tensor';
import { adamw, clipScale, evaluateReference, packAt, squaredNorm, viewAt } from '@lowrank/tensor/op';
import type { Tensor } from '@lowrank/tensor';
import { expect, test } from 'vitest';
import { createCpuBackend } from './backend.js';

const rng = new Rng(3);
const random = (shape: number[], deviation = 0.3): Tensor =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.normal() * deviation),
    shape,
  );

const [vocabulary, width, heads, keyHeads, inner, rank, length] = [71, 24, 6, 2, 20, 3, 37];
const size = width / heads;

/** One decoder layer with LoRA and dropout on every projection. */
function makeModel() {
  const sizes = [
    [width, width],
    [width, keyHeads * size],
    [width, keyHeads * size],
    [width, width],
    [width, inner],
    [width, inner],
    [inner, width],
  ] as const;
  let total = 0;
  const places = sizes.map(([input, output]) => {
    const place = { input, output, a: total, b: total + rank * input };
    total += rank * (input + output);
    return place;
  });
  const initial = Float32Array.from({ length: total }, () => rng.normal() * 0.3);
  const weights = sizes.map(([input, output]) => random([output, input]));
  const table = random([vocabulary, width]);
  const norm = random([width], 1);
  const angles = (f: (x: number) => number): Tensor =>
    tensor(
      Float32Array.from({ length: length * (size / 2) }, (_, i) =>
        f(Math.floor(i / (size / 2)) * 0.3 ** (i % (size / 2))),
      ),
      [length, size / 2],
    );
  const [cosine, sine] = [angles(Math.cos), angles(Math.sin)];
  const [scale, seed, step] = [scalar(0.7), scalar(11, { dtype: 'u32' }), scalar(5, { dtype: 'u32' })];
  const loss = (
    parameters: Tensor,
    { ids, positions, segments, labels }: Record<string, Tensor>,
  ): { value: Tensor; gradients: Tensor[]; offsets: number[] } => {
    if (ids === undefined || positions === undefined || segments === undefined || labels === undefined)
      throw new TypeError('inputs');
    const adapters = places.flatMap(({ input, output, a, b }) => [
      viewAt(parameters, a, [rank, input]),
      viewAt(parameters, b, [output, rank]),
    ]);
    const apply = (x: Tensor, which: number): Tensor => {
      const [w, a, b] = [weights[which], adapters[2 * which], adapters[2 * which + 1]];
      if (w === undefined || a === undefined || b === undefined) throw new TypeError('matrix');
      return add(linear(x, w), linear(mul(linear(dropout(x, 0.25, { seed, step }, which), a), scale), b));
    };
    const split = (t: Tensor, count: number): Tensor => reshape(t, [1, length, count, size]);
    let x = embedding(table, ids);
    const h = rmsNorm(x, norm, 1e-5);
    const mixed = attention(
      rope(split(apply(h, 0), heads), cosine, sine, positions),
      rope(split(apply(h, 1), keyHeads), cosine, sine, positions),
      split(apply(h, 2), keyHeads),
      { segments },
    );
    x = add(x, apply(reshape(mixed, [1, length, width]), 3));
    const g = rmsNorm(x, norm, 1e-5);
    x = add(x, apply(swiglu(apply(g, 4), apply(g, 5)), 6));
    const value = linearCrossEntropy(
      reshape(rmsNorm(x, norm, 1e-5), [length, width]),
      table,
      reshape(labels, [length]),
    );
    return { value, gradients: grad(value, adapters), offsets: places.flatMap(({ a, b }) => [a, b]) };
  };
  return { total, initial, loss };
}

function makeBatch() {
  const ids = Int32Array.from({ length }, () => rng.integer(vocabulary));
  const middle = 20;
  return {
    ids: { data: ids, shape: [1, length] },
    positions: { data: Int32Array.from({ length }, (_, i) => (i < middle ? i : i - middle)), shape: [1, length] },
    segments: {
      data: Int32Array.from(
        { length: 2 * length },
        (_, i) => (i >> 1 < middle ? [0, middle] : [middle, length])[i % 2] ?? 0,
      ),
      shape: [1, length, 2],
    },
    labels: { data: ids.map((_, i) => (i % 3 === 0 ? -100 : (ids[(i + 1) % length] ?? 0))), shape: [1, length] },
  };
}

test.each([1, 2])(
  'a LoRA step on %i threads: loss, gradient and three updates agree with the references in f64',
  async (threads) => {
    const backend = await createCpuBackend({ threads });
    const { total, initial, loss } = makeModel();
    const inputs = makeBatch();
    const lines = Math.ceil(total / 64);
    const table = (): Tensor =>
      tensor(
        Float32Array.from({ length: 2 * lines }, (_, i) => (i % 2 === 0 ? 1 : 0.01)),
        [lines, 2],
      );
    const numbers = { learningRate: scalar(0.01), stepSize: scalar(0.1), biasScale: scalar(31.6) };
    const traced = (state: Tensor[], given: Record<string, Tensor>) => {
      const [parameters, firstMoment, secondMoment, lineTable] = state;
      if (
        parameters === undefined ||
        firstMoment === undefined ||
        secondMoment === undefined ||
        lineTable === undefined
      )
        throw new TypeError('state');
      const { value, gradients, offsets } = loss(parameters, given);
      const gradient = packAt(gradients, offsets, total);
      const norm = squaredNorm(gradient);
      const updated = adamw(
        { parameters, gradient, firstMoment, secondMoment, table: lineTable },
        { ...numbers, clip: clipScale(norm, 1) },
        { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
      );
      return { value, norm, updated };
    };

    const state = [tensor(initial.slice(), [total]), persistent([total]), persistent([total]), table()];
    const step = compile(backend, (given) => {
      const { value, norm, updated } = traced(state, given);
      updated.forEach((tensorOf, at) => assign(state[at] ?? tensorOf, tensorOf));
      return { value, norm };
    });

    let plain = [initial, new Float32Array(total), new Float32Array(total)];
    for (let round = 0; round < 3; round++) {
      const { value, norm } = await step.run(inputs);
      const given = Object.fromEntries(
        Object.entries(inputs).map(([name, { data, shape }]) => [name, tensor(data, shape)]),
      );
      const want = traced([...plain.map((data) => tensor(data.slice(), [total])), table()], given);
      const [wantValue, wantNorm, ...wantState] = await evaluateReference([want.value, want.norm, ...want.updated]);
      expect((await value)[0]).toBeCloseTo(wantValue?.[0] ?? NaN, 3);
      expect(((await norm)[0] ?? NaN) / (wantNorm?.[0] ?? NaN)).toBeCloseTo(1, 4);
      plain = wantState.map((data) => Float32Array.from(data));
    }
    const [parameters] = state;
    if (parameters === undefined) throw new TypeError('state');
    const final = await readTensor(parameters);
    plain[0]?.forEach((want, at) => expect(Math.abs((final[at] ?? NaN) - want)).toBeLessThan(2e-4));
    await step.dispose();
    for (const tensorOf of state) tensorOf.dispose();
    backend.dispose();
  },
);
