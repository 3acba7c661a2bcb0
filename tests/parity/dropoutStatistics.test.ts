import { createCpuBackend } from '@lowrank/cpu';
import { LoraLinear } from '@lowrank/lora';
import { Conv1d, Linear, withDropout } from '@lowrank/nn';
import { compile, grad, mul, Rng, scalar, sub, sum, tensor } from '@lowrank/tensor';
import { sourceOf } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';

const [rows, input, output, rank, scaling, rate, draws] = [3, 10, 4, 3, 1.7, 0.3, 1500];
const rng = new Rng(12);
const random = (length: number): Float32Array => Float32Array.from({ length }, () => rng.normal());
const [x, g, a, b, w] = [
  random(rows * input),
  random(rows * output),
  random(rank * input),
  random(output * rank),
  random(output * input),
];

const at = (values: Float32Array, row: number, width: number, column: number): number =>
  values[row * width + column] ?? NaN;
const total = (count: number, term: (index: number) => number): number =>
  Array.from({ length: count }, (_, index) => term(index)).reduce((left, right) => left + right, 0);

/**
 * Of what the adapter adds, and of dA and dB for Σ g ⊙ y, element by element: what they are without dropout, which is
 * their mean with it, and their variance. Each input is x·m/(1 − p), m a coin: mean x, variance x²·p/(1 − p), and
 * everything is linear in it.
 */
function analytic(): Record<string, { mean: number; variance: number }[]> {
  const odds = rate / (1 - rate);
  const linearIn = (
    weight: (row: number, i: number) => number,
    over: readonly number[],
  ): { mean: number; variance: number } => ({
    mean: total(over.length, (n) => total(input, (i) => weight(over[n] ?? 0, i) * at(x, over[n] ?? 0, input, i))),
    variance:
      odds *
      total(over.length, (n) => total(input, (i) => (weight(over[n] ?? 0, i) * at(x, over[n] ?? 0, input, i)) ** 2)),
  });
  const all = Array.from({ length: rows }, (_, n) => n);
  const added = all.flatMap((n) =>
    Array.from({ length: output }, (_, o) =>
      linearIn((_row, i) => scaling * total(rank, (k) => at(b, o, rank, k) * at(a, k, input, i)), [n]),
    ),
  );
  const da = Array.from({ length: rank * input }, (_, place) => {
    const [k, column] = [Math.floor(place / input), place % input];
    return linearIn(
      (n, i) => (i === column ? scaling * total(output, (o) => at(g, n, output, o) * at(b, o, rank, k)) : 0),
      all,
    );
  });
  const db = Array.from({ length: output * rank }, (_, place) =>
    linearIn((n, i) => scaling * at(g, n, output, Math.floor(place / rank)) * at(a, place % rank, input, i), all),
  );
  return { added, da, db };
}

test.each([
  ['a linear layer', () => new Linear(tensor(w, [output, input]))],
  ['Conv1D', () => new Conv1d(tensor(w.slice(), [input, output]))],
])(
  'dropout at %s: the output and the gradients of A and B have the mean without it, and the variance p/(1 − p) gives',
  async (_, make) => {
    const backend = await createCpuBackend();
    const layer = new LoraLinear(make(), 7);
    await layer.addNew('default', { rank, scaling, dropout: rate, init: 'kaiming', seed: 1 });
    layer.active = ['default'];
    const weights = layer.adapters.get('default');
    if (weights === undefined) throw new TypeError('no adapter');
    sourceOf(weights.a.tensor).write(a);
    sourceOf(weights.b.tensor).write(b);
    const state = { seed: scalar(5, { dtype: 'u32' }), step: scalar(0, { dtype: 'u32' }) };
    const given = tensor(x, [rows, input]);
    const step = compile(backend, () => {
      const y = withDropout(state, () => layer.forward(given));
      const [da = y, db = y] = grad(sum(mul(y, tensor(g, [rows, output]))), [weights.a.tensor, weights.b.tensor]);
      return { added: sub(y, layer.base.forward(given)), da, db };
    });
    const expected = analytic();
    const sums = new Map(
      Object.entries(expected).map(([key, list]) => [key, list.map(() => ({ first: 0, second: 0 }))]),
    );
    for (let draw = 0; draw < draws; draw++) {
      state.step.value = draw;
      const results: Record<string, Promise<ArrayLike<number>>> = await step.run();
      for (const [key, list] of sums) {
        const values = await results[key];
        list.forEach((sum, place) => {
          const off = (values?.[place] ?? NaN) - (expected[key]?.[place]?.mean ?? NaN);
          sum.first += off;
          sum.second += off * off;
        });
      }
    }
    for (const [key, list] of sums) {
      let ratios = 0;
      list.forEach(({ first, second }, place) => {
        const { variance = NaN } = expected[key]?.[place] ?? {};
        const where = `${key}[${place}]`;
        // Within five standard errors of the mean.
        expect({ where, off: Math.abs(first / draws) / Math.sqrt(variance / draws) }).toEqual({
          where,
          off: expect.toSatisfy((off: number) => off < 5) as unknown,
        });
        const ratio = second / draws / variance;
        expect({ where, ratio }).toEqual({
          where,
          ratio: expect.toSatisfy((value: number) => value > 0.75 && value < 1.25) as unknown,
        });
        ratios += ratio / list.length;
      });
      expect(Math.abs(ratios - 1)).toBeLessThan(0.05);
    }
    await step.dispose();
    backend.dispose();
  },
);
