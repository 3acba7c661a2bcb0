import { mul, reshape, scalar } from '@lowrank/tensor';
import type { RandomState } from '@lowrank/tensor';
import { expect, test } from 'vitest';
import type { Batch, TokenInput } from './batch.js';
import { lossOver } from './batch.js';
import type { TrainEvent } from './events.js';
import { mostNanInRow } from './nanRules.js';
import { NonFiniteError } from './nonFinite.js';
import type { OptimizerName } from './optimizers/index.js';
import { makeRows, pack, referenceBackend, tinyModel } from './testing.js';
import { train } from './train.js';
import type { TrainOptions, TrainSession } from './trainOptions.js';
import type { TrainState } from './trainState.js';
import { holdState } from './trainState.js';

type Name = TokenInput | 'factor';
type Options = Partial<TrainOptions<TrainSession<Name>, Name>>;

const rows = makeRows(20);

/** Two micro-batches of one row a step; the loss of the second is multiplied by the step's factor, 1 without one. */
function* batchesOf(steps: readonly number[], factors: Readonly<Record<number, number>>): Generator<Batch<Name>[]> {
  const scaled = (row: number, factor: number): Batch<Name> => {
    const { inputs, ...rest } = pack(rows.slice(row % 20, (row % 20) + 1));
    return { ...rest, inputs: { ...inputs, factor: { data: Float32Array.of(factor), shape: [1] } } };
  };
  for (const step of steps) yield [scaled(2 * step, 1), scaled(2 * step + 1, factors[step] ?? 1)];
}

interface Ran {
  readonly events: TrainEvent[];
  readonly weights: ReadonlyMap<string, Float32Array>;
  readonly skipped: number;
  readonly error: unknown;
}

/** Trains over the batches of these steps. */
async function run(
  steps: readonly number[],
  { factors = {}, dropout = false, ...part }: Options & { factors?: Record<number, number>; dropout?: boolean } = {},
): Promise<Ran> {
  const events: TrainEvent[] = [];
  const random: RandomState | undefined = dropout
    ? { seed: scalar(7, { dtype: 'u32' }), step: scalar(0, { dtype: 'u32' }) }
    : undefined;
  const model = tinyModel(referenceBackend(), { random });
  const session: TrainSession<Name> = {
    ...model,
    loss: ({ factor, ...inputs }) => mul(lossOver(model.loss)(inputs).loss, reshape(factor, [])),
  };
  const ended = await train<TrainSession<Name>, Name>({
    createSession: () => session,
    steps: steps.length,
    learningRate: 0.02,
    batches: batchesOf(steps, factors),
    onNan: 'skip',
    onEvent: (event) => void events.push(event),
    ...part,
  }).then(
    ({ skipped }) => ({ skipped, error: undefined }),
    (error: unknown) => ({ skipped: 0, error }),
  );
  return { events, weights: await model.weights(), ...ended };
}

const upTo = (last: number): number[] => Array.from({ length: last }, (_, at) => at + 1);
const told = (events: readonly TrainEvent[]): unknown[] =>
  events.flatMap((event) => {
    if (event.type === 'step') return [[event.step, event.loss, event.gradNorm]];
    return event.type === 'skipped' ? [[event.step, 'skipped', event.inRow]] : [];
  });

test.each<OptimizerName>(['adamw', 'adamw8bit', 'lion', 'sgd', 'muon'])(
  '%s: a skipped batch leaves no trace in weights and moments: the run is that of the other batches',
  async (optimizer) => {
    const part = { optimizer, weightDecay: 0.1 };
    const whole = await run(upTo(8), { ...part, factors: { 1: Infinity, 4: NaN, 5: -Infinity } });
    expect(whole.error).toBeUndefined();
    expect(whole.skipped).toBe(3);
    const steps = whole.events.filter(({ type }) => type === 'step' || type === 'skipped');
    expect(steps.map(({ type }) => type === 'skipped')).toEqual(upTo(8).map((step) => [1, 4, 5].includes(step)));
    expect(told(whole.events)).toEqual(
      expect.arrayContaining([
        [1, 'skipped', 1],
        [4, 'skipped', 1],
        [5, 'skipped', 2],
      ]),
    );
    const others = await run([2, 3, 6, 7, 8], { ...part, onNan: 'stop' });
    expect(whole.weights).toEqual(others.weights);
  },
);

test('with a skipped batch within, stopped and resumed is the run that was not, bit for bit', async () => {
  const part = { dropout: true, schedule: 'cosine', factors: { 4: NaN, 5: NaN, 8: Infinity } } as const;
  const whole = await run(upTo(10), part);
  expect(whole.skipped).toBe(3);
  for (const saveEvery of [3, 4]) {
    const states: TrainState[] = [];
    const checkpoint = async (_: unknown, state: TrainState): Promise<string> =>
      String(states.push(await holdState(state)));
    const saving = await run(upTo(10), { ...part, saveEvery, checkpoint });
    expect(told(saving.events)).toEqual(told(whole.events));
    for (const resume of states.filter(({ step }) => step < 10)) {
      const batches = batchesOf(upTo(10).slice(resume.step), part.factors);
      const rest = await run(upTo(10), { ...part, resume, batches });
      expect(told(rest.events)).toEqual(told(whole.events).slice(resume.step));
      expect(rest.weights).toEqual(whole.weights);
      expect(rest.skipped).toBe(3);
    }
  }
});

test('ten in a row end the training with the error, and the weights are those from before them', async () => {
  const factors = Object.fromEntries(upTo(40).map((step) => [step, step > 3 ? NaN : 1]));
  const { error, events, weights } = await run(upTo(40), { factors });
  if (!(error instanceof NonFiniteError)) throw error;
  expect(error).toMatchObject({ code: 'trainer.nonFinite', step: 13 });
  expect(error.message).toContain('the batches of the 9 steps before were skipped for the same reason');
  expect(events.filter(({ type }) => type === 'skipped')).toHaveLength(mostNanInRow - 1);
  expect(weights).toEqual((await run(upTo(3))).weights);
});

test('without the rule the first one ends it', async () => {
  const { error, events } = await run(upTo(9), { factors: { 4: NaN }, onNan: undefined });
  expect(error).toMatchObject({ code: 'trainer.nonFinite', step: 4 });
  expect(events.some(({ type }) => type === 'skipped')).toBe(false);
  const wrong = await run(upTo(1), { onNan: 'ignore' as 'skip' });
  expect(wrong.error).toMatchObject({ code: 'trainer.option', got: 'ignore' });
});
