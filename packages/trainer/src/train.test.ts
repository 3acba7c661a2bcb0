import { expect, test } from 'vitest';
import type { Batch } from './batch.js';
import type { StepEvent, TrainEvent } from './events.js';
import { NonFiniteError } from './nonFinite.js';
import { learningRateAt } from './schedule.js';
import { labelTokens, makeRows, pack, padRows, referenceBackend, tinyModel } from './testing.js';
import type { Row, TinyModel } from './testing.js';
import type { TrainOptions } from './train.js';
import { train } from './train.js';

const rows = makeRows(10);
/** Without end: four rows a step, in order, wrapping. */
function* stepsOf(layout: (rows: readonly Row[]) => Batch[] = (step) => [pack(step)]): Generator<Batch[], never> {
  for (let start = 0; ; start += 4) yield layout([0, 1, 2, 3].flatMap((at) => rows[(start + at) % rows.length] ?? []));
}

function setUp(part: Partial<TrainOptions<TinyModel>> = {}): {
  options: TrainOptions<TinyModel>;
  events: TrainEvent[];
  model: TinyModel;
} {
  const events: TrainEvent[] = [];
  const model = tinyModel(referenceBackend());
  const options: TrainOptions<TinyModel> = {
    createSession: () => model,
    steps: 7,
    learningRate: 0.02,
    batches: stepsOf(),
    onEvent: (event) => void events.push(event),
    ...part,
  };
  return { options, events, model };
}

test('events come in order, one for each step, and the result sums them up', async () => {
  const evaluation = [pack(rows.slice(0, 3)), pack(rows.slice(3, 10))];
  const { options, events } = setUp({
    schedule: 'cosine',
    warmup: 2,
    evaluation,
    save: () => Promise.resolve('somewhere'),
    reference: (session) => session.loss,
  });
  const result = await train(options);
  expect(events.map(({ type }) => type)).toEqual([
    'started',
    ...Array.from({ length: 7 }, () => 'step'),
    'saved',
    'evaluated',
  ]);
  const steps = events.filter((event): event is StepEvent => event.type === 'step');
  expect(steps.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  expect(steps.map(({ learningRate }) => learningRate)).toEqual(
    steps.map(({ step }) => learningRateAt(step, { schedule: 'cosine', warmup: 2, steps: 7, learningRate: 0.02 })),
  );
  expect(steps.every(({ tokensPerSecond }) => tokensPerSecond >= 0 && Number.isFinite(tokensPerSecond))).toBe(true);
  const wrapped = Array.from({ length: 28 }, (_, at) => rows[at % 10]?.ids.length ?? 0);
  expect(steps[2]?.tokens).toBe(wrapped.slice(8, 12).reduce((a, b) => a + b));
  expect(result).toMatchObject({
    steps: 7,
    finalLoss: steps[6]?.loss,
    tokens: wrapped.reduce((a, b) => a + b),
    interrupted: false,
  });
  expect(result.evaluation?.rows).toBe(10);
  expect(result.evaluation?.tokens).toBe(rows.reduce((total, row) => total + labelTokens(row), 0));
  const evaluated = events.at(-1);
  if (evaluated?.type !== 'evaluated' || evaluated.referenceLoss === undefined)
    throw new Error('evaluated with a reference');
  expect(evaluated.loss).toBe(result.evaluation?.loss);
  expect(evaluated.loss).toBeLessThan(evaluated.referenceLoss);
});

test('several micro-batches per step are accumulated', async () => {
  const big = await train(setUp().options);
  const parts = await train(
    setUp({ batches: stepsOf((step) => [pack(step.slice(0, 1)), padRows(step.slice(1))]) }).options,
  );
  expect(parts.finalLoss).toBeCloseTo(big.finalLoss ?? NaN, 5);
  expect(parts.tokens).toBe(big.tokens);
});

test('an aborted signal finishes the step, saves, and says so', async () => {
  const controller = new AbortController();
  const saved: number[] = [];
  const { options, events } = setUp({ signal: controller.signal, steps: 100, evaluation: [pack(rows)] });
  const onEvent = (event: TrainEvent): void => {
    events.push(event);
    if (event.type === 'step' && event.step === 3) controller.abort();
  };
  const result = await train({ ...options, onEvent, save: (_, { step }) => Promise.resolve(String(saved.push(step))) });
  expect(result.interrupted).toBe(true);
  expect(result.steps).toBeGreaterThanOrEqual(3);
  expect(result.steps).toBeLessThanOrEqual(6);
  expect(result.evaluation).toBeUndefined();
  expect(saved).toEqual([result.steps]);
  expect(events.slice(-2)).toEqual([
    { type: 'interrupted', step: result.steps },
    { type: 'saved', step: result.steps, place: '1' },
  ]);
});

test(
  'a loss that is not finite stops training with step and origin; nothing is saved and the weights are those ' +
    'of the step before',
  async () => {
    let saved = 0;
    const { options, model } = setUp({ learningRate: 1e30, save: () => Promise.resolve(String(saved++)) });
    const error: unknown = await train(options).catch((thrown: unknown) => thrown);
    if (!(error instanceof NonFiniteError)) throw error;
    expect(error).toMatchObject({ code: 'trainer.nonFinite', step: 2 });
    expect(error.message).toMatch(/^step 2: expected a finite loss and gradient, got loss .*made by \w+/);
    expect(saved).toBe(0);
    for (const values of (await model.weights()).values()) expect(values.every(Number.isFinite)).toBe(true);
  },
);

test('memory is given back: only the trained weights and the frozen ones stay', async () => {
  const { options, model } = setUp({ evaluation: [pack(rows)] });
  await train(options);
  expect(model.backend.memory.buffers).toBe(1);
});

test.each<[string, Partial<TrainOptions<TinyModel>>]>([
  ['steps', { steps: 0 }],
  ['clip', { clip: -1 }],
  ['weightDecay', { weightDecay: NaN }],
  ['beta1', { beta1: 1 }],
  ['epsilon', { epsilon: 0 }],
  ['the batches', { batches: [[pack(rows)]][Symbol.iterator]() }],
])('an error names the bad option: %s', async (name, part) => {
  await expect(train(setUp(part).options)).rejects.toThrow(name);
});

test('what the last update has made infinite is neither saved nor reported as learned', async () => {
  let saved = false;
  const { options } = setUp({
    steps: 1,
    learningRate: 1e39,
    save: () => ((saved = true), Promise.resolve('somewhere')),
  });
  await expect(train(options)).rejects.toThrow(/step 1: expected finite weights, got .*is not finite after its update/);
  expect(saved).toBe(false);
});
