import { Parameter } from '@lowrank/nn';
import { add, linear, readTensor, reshape, Rng, square, sub, sum, tanh, tensor } from '@lowrank/tensor';
import { expect, test } from 'vitest';
import type { Batch } from './batch.js';
import { evaluate } from './evaluate.js';
import { referenceBackend } from './testing.js';
import { train } from './train.js';

const [inputs, hidden, steps, learningRate] = [3, 5, 6, 0.05];
const rng = new Rng(11);
const noise = (count: number): Float32Array => Float32Array.from({ length: count }, () => rng.normal() * 0.5);
const start = { w1: noise(hidden * inputs), b1: noise(hidden), w2: noise(hidden) };

interface Example {
  readonly x: Float32Array;
  readonly y: number;
}
const examples: Example[] = Array.from({ length: 12 }, () => ({ x: noise(inputs), y: rng.normal() }));

/** Points and their targets as f32 arrays: nothing of text about them. The loss sums over the points. */
const batchOf = (part: readonly Example[]): Batch<'points' | 'targets'> => ({
  inputs: {
    points: { data: Float32Array.from(part.flatMap(({ x }) => [...x])), shape: [part.length, inputs] },
    targets: { data: Float32Array.from(part, ({ y }) => y), shape: [part.length] },
  },
  weight: part.length,
});

/** Twelve examples a step, in micro-batches of two shapes. */
function* stepsOf(...cuts: readonly number[]): Generator<Batch<'points' | 'targets'>[], never> {
  for (;;) yield cuts.map((cut, at) => batchOf(examples.slice(cut, cuts[at + 1])));
}

/** Gradient descent with AdamW on the mean of (w₂·tanh(W₁x + b₁) − y)², written out, in double precision. */
function handWritten(): { losses: number[]; weights: number[] } {
  const weights = [...start.w1, ...start.b1, ...start.w2];
  const [m, v] = [weights.map(() => 0), weights.map(() => 0)];
  const at = (i: number): number => weights[i] ?? NaN;
  const losses: number[] = [];
  for (let step = 1; step <= steps; step++) {
    const gradient = weights.map(() => 0);
    let loss = 0;
    for (const { x, y } of examples) {
      const h = Array.from({ length: hidden }, (_, j) =>
        Math.tanh(x.reduce((total, value, i) => total + value * at(j * inputs + i), at(hidden * inputs + j))),
      );
      const error = h.reduce((total, value, j) => total + value * at(hidden * inputs + hidden + j), -y);
      loss += error ** 2 / examples.length;
      for (const [j, value] of h.entries()) {
        const outer = (2 * error) / examples.length;
        const inner = outer * at(hidden * inputs + hidden + j) * (1 - value ** 2);
        x.forEach((given, i) => (gradient[j * inputs + i] = (gradient[j * inputs + i] ?? NaN) + inner * given));
        gradient[hidden * inputs + j] = (gradient[hidden * inputs + j] ?? NaN) + inner;
        gradient[hidden * inputs + hidden + j] = (gradient[hidden * inputs + hidden + j] ?? NaN) + outer * value;
      }
    }
    for (const [i, g] of gradient.entries()) {
      m[i] = 0.9 * (m[i] ?? NaN) + 0.1 * g;
      v[i] = 0.999 * (v[i] ?? NaN) + 0.001 * g ** 2;
      weights[i] = at(i) - (learningRate * (m[i] / (1 - 0.9 ** step))) / (Math.sqrt(v[i] / (1 - 0.999 ** step)) + 1e-8);
    }
    losses.push(loss);
  }
  return { losses, weights };
}

function network() {
  const make = (name: keyof typeof start, shape: readonly number[]): Parameter =>
    new Parameter(tensor(start[name].slice(), shape, { name }));
  const [w1, b1, w2] = [make('w1', [hidden, inputs]), make('b1', [hidden]), make('w2', [1, hidden])];
  return {
    parameters: Object.entries({ w1, b1, w2 }).map(([name, parameter]) => ({ name, parameter })),
    predict: (points: Parameter['tensor']) =>
      reshape(linear(tanh(add(linear(points, w1.tensor), b1.tensor)), w2.tensor), [points.shape[0] ?? 0]),
  };
}

test.each(['fused', 'unfused', 'unplanned'] as const)(
  'a network of your own trains on batches of your own as a hand-written loop does: %s',
  async (execution) => {
    const expected = handWritten();
    const backend = referenceBackend();
    for (const cuts of [[0], [0, 5, 10]]) {
      const { parameters, predict } = network();
      const losses: number[] = [];
      const result = await train({
        createSession: () => ({
          backend,
          parameters,
          loss: ({ points, targets }) => sum(square(sub(predict(points), targets))),
        }),
        batches: stepsOf(...cuts),
        largest: stepsOf(...cuts).next().value,
        evaluation: [batchOf(examples.slice(0, 7)), batchOf(examples.slice(7))],
        steps,
        learningRate,
        execution,
        onEvent: (event) => void (event.type === 'step' && losses.push(event.loss)),
      });
      losses.forEach((loss, at) => expect(loss).toBeCloseTo(expected.losses[at] ?? NaN, 5));
      const trained: number[] = [];
      for (const { parameter } of parameters) trained.push(...(await readTensor(parameter.tensor)));
      trained.forEach((value, at) => expect(value).toBeCloseTo(expected.weights[at] ?? NaN, 4));
      expect(result).toMatchObject({ tokens: 0, evaluation: { tokens: 12, rows: 0 } });
      expect(result.evaluation?.loss).toBeLessThan(losses.at(-1) ?? NaN);
    }
  },
);

test('without a weight each batch counts the same: for losses that are means', async () => {
  const { predict } = network();
  const backend = referenceBackend();
  const loss = ({ points, targets }: Record<'points' | 'targets', Parameter['tensor']>): Parameter['tensor'] =>
    sum(square(sub(predict(points), targets)));
  const parts = [batchOf(examples.slice(0, 9)), batchOf(examples.slice(9))].map(({ inputs: given }) => ({
    inputs: given,
  }));
  const single = await Promise.all(parts.map((batch) => evaluate({ backend, loss, batches: [batch] })));
  const both = await evaluate({ backend, loss, batches: parts });
  expect(both.loss).toBeCloseTo(single.reduce((total, part) => total + part.loss, 0) / 2, 6);
});
