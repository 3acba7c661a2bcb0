import { mul, reshape } from '@lowrank/tensor';
import { expect, test } from 'vitest';
import type { Batch, TokenInput } from './batch.js';
import { lossOver } from './batch.js';
import type { TrainEvent } from './events.js';
import { LossHistory, mostRollbacks, spikeWindow } from './spikes.js';
import { makeRows, pack, referenceBackend, tinyModel } from './testing.js';
import { train } from './train.js';
import type { TrainOptions, TrainSession } from './trainOptions.js';
import type { TrainState } from './trainState.js';
import { holdState } from './trainState.js';

type Name = TokenInput | 'factor';
type Options = Partial<TrainOptions<TrainSession<Name>, Name>>;

const rows = makeRows(4);

/** The same row in each step, so that losses fall evenly; times the step's factor, 1 without one. */
function* batchesOf(steps: readonly number[], factors: Readonly<Record<number, number>>): Generator<Batch<Name>[]> {
  const { inputs, ...rest } = pack(rows);
  for (const step of steps)
    yield [{ ...rest, inputs: { ...inputs, factor: { data: Float32Array.of(factors[step] ?? 1), shape: [1] } } }];
}

const upTo = (last: number, first = 1): number[] => Array.from({ length: last - first + 1 }, (_, at) => first + at);

interface Ran {
  readonly events: TrainEvent[];
  readonly weights: ReadonlyMap<string, Float32Array>;
  readonly states: TrainState[];
  readonly skipped: number | undefined;
  readonly error: unknown;
}

async function run(
  steps: readonly number[],
  { factors = {}, ...part }: Options & { factors?: Record<number, number> } = {},
): Promise<Ran> {
  const events: TrainEvent[] = [];
  const states: TrainState[] = [];
  const model = tinyModel(referenceBackend());
  const session: TrainSession<Name> = {
    ...model,
    loss: ({ factor, ...inputs }) => mul(lossOver(model.loss)(inputs).loss, reshape(factor, [])),
  };
  const ended = await train<TrainSession<Name>, Name>({
    createSession: () => session,
    steps: (part.resume?.step ?? 0) + steps.length,
    learningRate: 1e-3,
    batches: batchesOf(steps, factors),
    onSpike: 'rollback',
    snapshotEvery: 5,
    checkpoint: async (_, state) => void states.push(await holdState(state)),
    onEvent: (event) => void events.push(event),
    ...part,
  }).then(
    ({ skipped }) => ({ skipped, error: undefined }),
    (error: unknown) => ({ skipped: undefined, error }),
  );
  return { events, states, weights: await model.weights(), ...ended };
}

test('a loss is a spike far above the median of the last, and beyond their spread', () => {
  const of = (losses: readonly number[]): LossHistory => new LossHistory({ factor: 3, recent: losses });
  const even = upTo(spikeWindow.least).map((at) => 1 + at / 100);
  expect(of(even.slice(1)).isSpike(1e6)).toBe(false);
  expect(of(even).isSpike(3)).toBe(false);
  expect(of(even).isSpike(3.4)).toBe(true);
  // Losses from 0.01 to 4 are no surprise to each other.
  const wide = upTo(spikeWindow.least).map((at) => (at % 2 === 0 ? 0.5 : 0.01) * (at % 5));
  expect(of(wide).isSpike(3 * of(wide).median + 0.01)).toBe(false);
  const history = of([]);
  for (let at = 0; at < 3 * spikeWindow.most; at++) history.add(at);
  expect(history.recent).toHaveLength(spikeWindow.most);
  expect(history.median).toBe(2.5 * spikeWindow.most - 0.5);
});

test('a spike goes back to the last snapshot, and the batches since then are as if they had never been', async () => {
  // Factor 50 in the step before is not seen in its own loss alone: it is what has spoiled the weights.
  const { weights, events, skipped, error } = await run(upTo(32), { factors: { 28: 50 } });
  expect(error).toBeUndefined();
  const back = events.filter(({ type }) => type === 'rolledBack');
  expect(back).toMatchObject([{ step: 28, to: 25 }]);
  expect(skipped).toBe(3);
  expect(weights).toEqual((await run([...upTo(25), ...upTo(32, 29)])).weights);
  expect(weights).not.toEqual((await run(upTo(32), { factors: { 28: 50 }, onSpike: 'ignore' })).weights);
  const steps = events.flatMap((event) => (event.type === 'step' ? [event.step] : []));
  expect(steps).toEqual([...upTo(27), ...upTo(32, 29)]);
});

test('a run that is stopped and goes on rolls back to the same', async () => {
  const part = { saveEvery: 13, factors: { 28: 50 } };
  const whole = await run(upTo(32), part);
  expect(whole.events.filter(({ type }) => type === 'rolledBack')).toMatchObject([{ step: 28, to: 26 }]);
  const [, saved] = whole.states;
  const state = JSON.parse(JSON.stringify({ ...saved, tensors: undefined })) as TrainState;
  const tensors = saved?.tensors ?? new Map();
  const rest = await run(upTo(32, 27), { ...part, resume: { ...state, tensors } });
  expect(rest.weights).toEqual(whole.weights);
});

test('spikes after every rollback end the training, as the first does with stop', async () => {
  const factors = Object.fromEntries(upTo(60, 30).map((step) => [step, 50]));
  const { error, events } = await run(upTo(60), { factors });
  expect(error).toMatchObject({ code: 'trainer.spike', what: `step ${30 + mostRollbacks}` });
  expect(String(error)).toContain(`after ${mostRollbacks} rollbacks`);
  expect(events.filter(({ type }) => type === 'rolledBack')).toHaveLength(mostRollbacks);
  const stopped = await run(upTo(31), { factors, onSpike: 'stop' });
  expect(stopped.error).toMatchObject({ code: 'trainer.spike', what: 'step 30' });
  expect((await run(upTo(31), { factors, onSpike: undefined })).error).toBeUndefined();
});

test('ten losses in a row that are not finite go back to the snapshot too', async () => {
  const factors = Object.fromEntries(upTo(24, 15).map((step) => [step, NaN]));
  const { error, events, weights } = await run(upTo(26), { factors, onNan: 'skip', snapshotEvery: 6 });
  expect(error).toBeUndefined();
  expect(events.filter(({ type }) => type === 'rolledBack')).toMatchObject([{ step: 24, to: 18 }]);
  expect(weights).toEqual((await run([...upTo(14), 25, 26])).weights);
  expect((await run(upTo(1), { spikeFactor: 1 })).error).toMatchObject({ code: 'trainer.option' });
  expect((await run(upTo(1), { onSpike: 'skip' as 'stop' })).error).toMatchObject({ code: 'trainer.option' });
});

test('every snapshot is handed over, in memory', async () => {
  const held: TrainState[] = [];
  await run(upTo(7), { onSpike: undefined, snapshotEvery: 3, snapshot: (_, state) => void held.push(state) });
  expect(held.map(({ step }) => step)).toEqual([0, 3, 6]);
  const [first, second] = await Promise.all(held.map(async ({ tensors }) => tensors.get('parameter.q')?.read()));
  expect(first).not.toEqual(second);
});
