import { reshape } from '@lowrank/tensor';
import { expect, test } from 'vitest';
import type { Batch } from './batch.js';
import type { StepEvent, TrainEvent } from './events.js';
import { NonFiniteError } from './nonFinite.js';
import { learningRateAt } from './schedule.js';
import { labelTokens, makeRows, pack, padRows, referenceBackend, tinyModel } from './testing.js';
import type { Row, TinyModel } from './testing.js';
import type { TrainOptions } from './trainOptions.js';
import type { TrainState } from './trainState.js';
import { holdState } from './trainState.js';
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
    'baseline',
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
  ['evaluateEvery', { evaluateEvery: 2 }],
  ['earlyStopping', { earlyStopping: 2 }],
  ['saveEvery', { saveEvery: 0.5 }],
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

/** Rows whose loss falls and rises as this list says, whatever the model does: a loss that counts its calls. */
function scripted(losses: readonly number[]): Partial<TrainOptions<TinyModel>> {
  const model = tinyModel(referenceBackend());
  let at = 0;
  // One batch an evaluation, whose one input is the loss itself.
  const evaluation = {
    *[Symbol.iterator]() {
      const loss = Float32Array.of(losses[Math.min(at++, losses.length - 1)] ?? NaN);
      yield { inputs: { ids: { data: loss, shape: [1] } } } as unknown as Batch;
    },
  };
  return { createSession: () => ({ ...model, evaluationLoss: ({ ids }) => reshape(ids, []) }), evaluation };
}

const names = (events: readonly TrainEvent[]): string[] =>
  events.filter(({ type }) => type !== 'started').map((event) => `${event.type} ${'step' in event ? event.step : ''}`);

test('evaluations, checkpoints and what the caller does come right after their step, in this order', async () => {
  const seen: string[] = [];
  const { options, events } = setUp({
    steps: 5,
    evaluation: [pack(rows)],
    evaluateEvery: 2,
    saveEvery: 3,
    checkpoint: (_, { step }) => Promise.resolve(`checkpoint-${step}`),
    save: () => Promise.resolve('end'),
    betweenSteps: { every: 2, run: (_, { step }) => seen.push(`between after ${names(events).at(-1)} at ${step}`) },
  });
  const result = await train(options);
  expect(names(events)).toEqual([
    'step 1',
    'step 2',
    'evaluated 2',
    'step 3',
    'checkpoint 3',
    'step 4',
    'evaluated 4',
    'step 5',
    'evaluated 5',
    'checkpoint 5',
    'saved 5',
  ]);
  expect(seen).toEqual(['between after evaluated 2 at 2', 'between after evaluated 4 at 4']);
  const last = events.findLast((event) => event.type === 'evaluated');
  expect(result).toMatchObject({ stoppedBy: 'steps', bestStep: 5, weightsOf: 5, evaluation: { loss: last?.loss } });
});

test('what is done between two steps sees exactly the weights of its step', async () => {
  const reached = async (steps: number): Promise<ReadonlyMap<string, Float32Array>> => {
    const { options, model } = setUp({ steps });
    await train(options);
    return model.weights();
  };
  const seen = new Map<number, ReadonlyMap<string, Float32Array>>();
  const every = (step: number): boolean => step === 2 || step === 4;
  const run = async (session: TinyModel, { step }: { step: number }): Promise<void> =>
    void seen.set(step, await session.weights());
  await train(setUp({ betweenSteps: { every, run } }).options);
  expect([...seen.keys()]).toEqual([2, 4]);
  for (const [step, weights] of seen) expect(weights).toEqual(await reached(step));
});

test('training ends after evaluations without progress; the best step is saved, and loaded on request', async () => {
  // Whatever is prepared takes one of them.
  const losses = [9, 3, 2, 4, 2, 1];
  const states = new Map<number, TrainState>();
  const part: Partial<TrainOptions<TinyModel>> = {
    steps: 20,
    evaluateEvery: 2,
    earlyStopping: 2,
    saveBest: true,
    checkpoint: async (_, state) => String(states.set(state.step, await holdState(state)).size),
  };
  const { options, events } = setUp({ ...part, ...scripted(losses) });
  const result = await train(options);
  expect(result).toMatchObject({
    stoppedBy: 'early-stopping',
    interrupted: false,
    steps: 8,
    bestStep: 4,
    weightsOf: 8,
  });
  expect([...states.keys()]).toEqual([2, 4]);
  expect(events.filter((event) => event.type === 'evaluated').map(({ isBest }) => isBest)).toEqual([
    true,
    true,
    false,
    false,
  ]);
  const best = states.get(4);
  if (best === undefined) throw new Error('the best state');
  const saved: number[] = [];
  const { options: again } = setUp({ ...part, ...scripted(losses) });
  const loaded = await train({
    ...again,
    loadBest: ({ step }) => (expect(step).toBe(4), Promise.resolve(best)),
    save: (_, { step }) => Promise.resolve(String(saved.push(step))),
  });
  expect(loaded).toMatchObject({ steps: 8, bestStep: 4, weightsOf: 4 });
  expect(saved).toEqual([4]);
  const q = (await loaded.session.weights()).get('q');
  expect(q).toEqual(await best.tensors.get('parameter.q')?.read());
  expect(q).not.toEqual((await result.session.weights()).get('q'));
});

test('a loss that is not a number is no progress', async () => {
  const result = await train(setUp({ steps: 20, evaluateEvery: 1, earlyStopping: 2, ...scripted([0, NaN]) }).options);
  expect(result).toMatchObject({ steps: 2, stoppedBy: 'early-stopping', bestStep: undefined });
});

test('stopped and resumed, events, weights and result are those of a run that was not', async () => {
  const part: Partial<TrainOptions<TinyModel>> = { steps: 6, evaluation: [pack(rows)], evaluateEvery: 2, saveEvery: 5 };
  const undisturbed = setUp(part);
  const whole = await train(undisturbed.options);
  const controller = new AbortController();
  const states: TrainState[] = [];
  const stopped = setUp(part);
  // Stopped at a step whose evaluation is due: whoever goes on makes up for it.
  const { interrupted, stoppedBy } = await train({
    ...stopped.options,
    signal: controller.signal,
    onEvent: (event) => {
      stopped.events.push(event);
      if (event.type === 'step' && event.step === 4) controller.abort();
    },
    checkpoint: async (_, state) => String(states.push(await holdState(state))),
  });
  expect({ interrupted, stoppedBy }).toEqual({ interrupted: true, stoppedBy: 'signal' });
  const [resume] = states;
  expect(resume).toMatchObject({ step: 4, rngStep: 4, evaluatedAt: 2 });
  const batches = stepsOf();
  for (let step = 0; step < 4; step++) batches.next();
  const rest = setUp({ ...part, resume, batches });
  const { session, ...result } = await train(rest.options);
  expect(rest.events[0]).toMatchObject({ type: 'started', from: 4, steps: 6 });
  expect(names(rest.events)).toEqual(['evaluated 4', 'step 5', 'step 6', 'evaluated 6']);
  const numbers = (events: readonly TrainEvent[]): unknown[] =>
    events.flatMap((event) => (event.type === 'step' || event.type === 'evaluated' ? [[event.type, event.loss]] : []));
  const before = numbers(stopped.events).slice(0, 5);
  expect([...before, ...numbers(rest.events)]).toEqual(numbers(undisturbed.events));
  expect(await session.weights()).toEqual(await whole.session.weights());
  const { finalLoss, tokens, steps, bestStep, evaluation } = whole;
  expect(result).toMatchObject({ finalLoss, tokens, steps, bestStep, evaluation });
});

test('a state of another model or optimizer is refused, and nothing is changed', async () => {
  const states: TrainState[] = [];
  const { options } = setUp({
    steps: 1,
    saveEvery: 1,
    checkpoint: async (_, state) => String(states.push(await holdState(state))),
  });
  await train(options);
  const [resume] = states;
  const model = tinyModel(referenceBackend(), { names: ['q', 'v'] });
  const before = await model.weights();
  const refused = train(setUp({ steps: 2, resume, createSession: () => model }).options);
  await expect(refused).rejects.toMatchObject({ code: 'trainer.state', got: 'parameter.embed' });
  expect(await model.weights()).toEqual(before);
  const missing = { ...resume, tensors: new Map() } as TrainState;
  await expect(train(setUp({ steps: 2, resume: missing }).options)).rejects.toThrow(
    /parameter\.embed, f32 \[11, 16\], got none/,
  );
});
