import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { LoraAdapterFiles } from '@lowrank/lora';
import { bytesSource } from '@lowrank/safetensors';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { fineTune, holdState, isLowrankError, loadModel, LowrankError } from 'lowrank';
import type { MethodFiles, ModelFiles, RunState } from 'lowrank';
import type { RemoteFineTuneOptions, RemoteModel, Trainer } from 'lowrank/worker';
import { checkFit } from 'lowrank/storage';
import { startTrainer } from 'lowrank/worker';
import { pauseTraining } from '../docs/snippets/pauseTraining';
import { root } from '../scripts/lib/paths.mjs';
import type { BuiltThread } from './helpers/trainerThread';
import { buildThread } from './helpers/trainerThread';

const golden = join(root, 'parity/golden/llama');
const folder = join(golden, 'tied');
/** Events that a page may leave unanswered: docs/worker.md. */
const mostUnanswered = 16;
const data = join(golden, 'train/rows.jsonl');
const evalData = join(golden, 'train/eval.jsonl');
const recipe = { r: 4, alpha: 8, learningRate: 1e-2, batchSize: 4, seed: 3, data };

let thread: BuiltThread;
let trainer: Trainer;
beforeAll(async () => {
  thread = await buildThread();
  trainer = await startTrainer(thread);
});
afterAll(() => {
  trainer.dispose();
  thread[Symbol.dispose]();
});

test('the worker has the storage, and says what a run would cost', async () => {
  const storage = await trainer.openStorage();
  expect(await storage.runFolder('first')).toBe('lowrank/runs/first');
  await expect(storage.runFolder('../first')).rejects.toMatchObject({ code: 'files.unsafeName' });
  const options = { device: 'cpu', batchSize: 2, maxLength: 32 } as const;
  const fit = await trainer.checkFit(folder, options);
  expect(fit).toEqual(await checkFit(folder, options));
  expect(fit).toMatchObject({ fits: true, downloadBytes: 0 });
});

test('the worker trains, evaluates, writes and saves as this thread does', async () => {
  const here = await loadModel(folder, { device: 'cpu' });
  const hereLosses: number[] = [];
  const hereRun = await fineTune(here, {
    ...recipe,
    evalData,
    steps: 6,
    onStep: ({ loss }) => void hereLosses.push(loss),
  });
  const stages: string[] = [];
  const there = await trainer.loadModel(folder, { device: 'cpu', onProgress: ({ stage }) => void stages.push(stage) });
  expect(there).toMatchObject({ name: folder, device: { name: 'cpu' } });
  expect(await there.contextLength()).toBe(here.contextLength);
  expect(stages).toContain('loading');
  const losses: number[] = [];
  const events = new Set<string>();
  const run = await trainer.fineTune(there, {
    ...recipe,
    evalData,
    steps: 6,
    onStep: ({ loss }) => void losses.push(loss),
    onEvent: ({ type }) => void events.add(type),
  });
  expect(losses).toEqual(hereLosses);
  expect([...events]).toEqual(expect.arrayContaining(['data', 'started', 'step', 'evaluated']));
  expect(run).toMatchObject({ steps: 6, method: 'lora', interrupted: false, evaluation: hereRun.evaluation });
  expect(await run.files()).toEqual(await hereRun.files());
  expect(await there.adapterFiles()).toEqual(await here.adapterFiles());
  expect(await there.evaluate(evalData)).toEqual(await here.evaluate(evalData));
  const pieces: string[] = [];
  for await (const piece of there.generate('name : ', { maxNewTokens: 12 })) pieces.push(piece);
  expect(pieces.join('')).toBe(await here.generate('name : ', { maxNewTokens: 12 }).text());
  expect(await there.tokenize('name')).toEqual(here.tokenize('name'));
  const tokens: number[] = [];
  const [text] = await there.generateBatch(['name : '], { maxNewTokens: 4, onToken: (id) => void tokens.push(id) });
  expect(text).toBe(await here.generate('name : ', { maxNewTokens: 4 }).text());
  expect(tokens).toHaveLength(4);
  await run.remove();
  await there.loadAdapter((await hereRun.files()) as LoraAdapterFiles, { name: 'again' });
  expect((await there.evaluate(evalData)).loss).toBeCloseTo((await here.evaluate(evalData)).loss, 6);
  await Promise.all([there.dispose(), here.dispose()]);
});

/** A model in the worker that is freed with the test. */
async function loaded(): Promise<RemoteModel & AsyncDisposable> {
  const model = await trainer.loadModel(folder, { device: 'cpu' });
  return { ...model, [Symbol.asyncDispose]: model.dispose };
}

const caught = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );
const soon = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

test('an error of the worker is the LowrankError that it was, with all its parts', async () => {
  const missing = join(folder, 'no such folder');
  const [here, there] = await Promise.all([caught(loadModel(missing)), caught(trainer.loadModel(missing))]);
  expect(there).toBeInstanceOf(LowrankError);
  expect(there).toEqual(here);
  await using model = await loaded();
  const wrong = await caught(trainer.fineTune(model, { ...recipe, rank: 4 } as RemoteFineTuneOptions));
  expect(wrong).toMatchObject({ code: 'cli.option', message: expect.stringContaining('rank') as string });
  expect(await caught(model.chat([{ role: 'user', content: 'hello' }]).text())).toMatchObject({
    code: 'lowrank.noTemplate',
  });
  const foreign = await loadModel(folder, { device: 'cpu' });
  expect(await caught(trainer.fineTune(foreign as never, recipe))).toMatchObject({ code: 'worker.model' });
  await foreign.dispose();
  const every = (() => true) as unknown as number;
  const betweenSteps = { every, run: () => undefined };
  expect(await caught(trainer.fineTune(model, { ...recipe, betweenSteps }))).toMatchObject({ code: 'lowrank.option' });
  const self: Record<string, unknown> = {};
  self.self = self;
  expect(await caught(model.evaluate([self]))).toMatchObject({ code: 'worker.value' });
  // What went wrong before a call does not stay with the model.
  expect((await model.evaluate(evalData)).loss).toBeGreaterThan(0);
});

test('a callback that throws ends the training with its error', async () => {
  await using model = await loaded();
  const onStep = (): void => {
    throw new RangeError('no room to draw');
  };
  const error = await caught(trainer.fineTune(model, { ...recipe, steps: 500, onStep }));
  expect(error).toMatchObject({ name: 'RangeError', message: 'no room to draw' });
});

test('a signal and stop() end a training at a step, and a text', async () => {
  await using model = await loaded();
  for (const by of ['signal', 'stop'] as const) {
    const controller = new AbortController();
    const training = trainer.fineTune(model, {
      ...recipe,
      steps: 5000,
      signal: controller.signal,
      onStep: ({ step }) => void (step === 3 && (by === 'signal' ? controller.abort() : training.stop())),
    });
    const run = await training;
    expect(run).toMatchObject({ interrupted: true, stoppedBy: 'signal' });
    expect(run.steps).toBeGreaterThanOrEqual(3);
    expect(run.steps).toBeLessThan(5000);
    await run.remove();
  }
  const controller = new AbortController();
  let text = '';
  for await (const piece of model.generate('name : ', {
    maxNewTokens: 100,
    temperature: 1,
    seed: 2,
    signal: controller.signal,
  })) {
    text += piece;
    controller.abort();
  }
  expect(text.length).toBeGreaterThan(0);
  // A reader who leaves ends the writing: the model is free again.
  for await (const piece of model.generate('name : ', { maxNewTokens: 100 })) {
    expect(piece.length).toBeGreaterThan(0);
    break;
  }
  expect((await trainer.fineTune(model, { ...recipe, steps: 1, signal: AbortSignal.abort() })).steps).toBe(0);
});

test('a training pauses between steps, where the model can be used, and goes on as if it had not', async () => {
  await using model = await loaded();
  const whole: number[] = [];
  const first = await trainer.fineTune(model, { ...recipe, steps: 12, onStep: ({ loss }) => void whole.push(loss) });
  await first.remove();
  const losses: number[] = [];
  const onStep = ({ loss }: { loss: number }): void => void losses.push(loss);
  const training = trainer.fineTune(model, { ...recipe, steps: 12, onStep });
  const at = await training.pause();
  expect(at).toBeGreaterThan(0);
  expect((await model.generate('name : ', { maxNewTokens: 8 }).text()).length).toBeGreaterThan(0);
  const [here, again] = [await model.evaluate(evalData), await model.evaluate(evalData)];
  expect(again).toEqual(here);
  expect(losses).toHaveLength(at ?? NaN);
  expect(await training.pause()).toBe(at);
  expect(await caught(model.addAdapter())).toMatchObject({ code: 'worker.training' });
  expect(await caught(model.dispose())).toMatchObject({ code: 'worker.training' });
  expect(await caught(trainer.fineTune(model, recipe))).toMatchObject({ code: 'worker.training' });
  training.resume();
  await training;
  expect(losses).toEqual(whole);
  expect((await model.evaluate(evalData)).loss).toBeLessThan(here.loss);
  expect(await training.pause()).toBeUndefined();
});

test('the snippet of docs/worker.md pauses and goes on', async () => {
  const log = vi.spyOn(console, 'log').mockImplementation(() => undefined);
  const [halfway, after] = await pauseTraining(trainer, folder, data);
  expect(log.mock.calls.flat().join()).toMatch(/^after step \d+: .*; after 40: /s);
  expect(after).not.toBe(halfway);
  log.mockRestore();
});

test('a paused training ends when it is stopped', async () => {
  await using model = await loaded();
  const training = trainer.fineTune(model, { ...recipe, steps: 5000 });
  const at = await training.pause();
  training.stop();
  expect(await training).toMatchObject({ interrupted: true, steps: at });
});

test('what a page asks while the model trains is answered with the weights of one step', async () => {
  await using model = await loaded();
  const seen: { step: number; loss: number; files: MethodFiles }[] = [];
  const run = await trainer.fineTune(model, {
    ...recipe,
    steps: 9,
    betweenSteps: {
      every: 4,
      // Within the callback the model is asked too, while training waits for it.
      run: async ({ step, files }) => {
        const [now, { loss }] = [await files(), await model.evaluate(evalData)];
        seen.push({ step, loss, files: now });
      },
    },
  });
  expect(seen.map(({ step }) => step)).toEqual([4, 8]);
  const after = await model.evaluate(evalData);
  await run.remove();
  for (const { loss, files } of seen) {
    await model.loadAdapter(files as LoraAdapterFiles);
    expect((await model.evaluate(evalData)).loss).toBeCloseTo(loss, 6);
    expect(loss).not.toBe(after.loss);
    await model.removeAdapter();
  }
});

test('a page that does not answer is never more than a few steps behind, and loses none', async () => {
  await using model = await loaded();
  let release: () => void = () => undefined;
  const blocked = new Promise<void>((resolve) => (release = resolve));
  const steps: number[] = [];
  let done = false;
  const training = trainer.fineTune(model, {
    ...recipe,
    steps: 60,
    onStep: ({ step }) => {
      steps.push(step);
      return blocked;
    },
  });
  void training.then(() => (done = true));
  await soon(1000);
  expect(steps).toHaveLength(mostUnanswered);
  expect(done).toBe(false);
  // It is the training that waits, not the model.
  expect((await model.generate('name : ', { maxNewTokens: 4 }).text()).length).toBeGreaterThan(0);
  release();
  await training;
  expect(steps).toEqual(Array.from({ length: 60 }, (_, at) => at + 1));
});

test('a state crosses, and a run goes on from it bit for bit', async () => {
  await using model = await loaded();
  let state: RunState | undefined;
  const whole = await trainer.fineTune(model, {
    ...recipe,
    steps: 8,
    saveEvery: 5,
    onCheckpoint: async (at) => void (state ??= await holdState(at)),
  });
  const files = await whole.files();
  await whole.remove();
  const rest = await trainer.fineTune(model, { ...recipe, steps: 8, resumeFrom: state });
  expect(await rest.files()).toEqual(files);
});

test('rows and files of this thread: objects, Blobs, pieces of text, and a folder of one’s own', async () => {
  const rows = readFileSync(evalData, 'utf8');
  await using model = await loaded();
  const { loss } = await model.evaluate(evalData);
  async function* pieces(): AsyncGenerator<string> {
    for (let at = 0; at < rows.length; at += 50) yield await Promise.resolve(rows.slice(at, at + 50));
  }
  const objects = rows
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as object);
  for (const source of [objects, new Blob([rows]), pieces()]) expect((await model.evaluate(source)).loss).toBe(loss);
  const asked: string[] = [];
  const files: ModelFiles = {
    name: 'in memory',
    async file(name) {
      asked.push(name);
      const path = join(folder, name);
      return existsSync(path) ? bytesSource(readFileSync(path), name) : undefined;
    },
  };
  const own = await trainer.loadModel(files, { device: 'cpu' });
  expect(own.name).toBe('in memory');
  expect(asked).toContain('model.safetensors');
  expect((await own.evaluate(evalData)).loss).toBe(loss);
  await own.dispose();
});

test('when the worker dies, every call says so, and what to do', async () => {
  const doomed = await startTrainer(thread);
  const model = await doomed.loadModel(folder, { device: 'cpu' });
  // The two calls of the step are made once the thread has been stopped, so that none of them can be answered.
  const waiting: Promise<unknown>[] = [];
  const training = doomed.fineTune(model, {
    ...recipe,
    steps: 100_000,
    onStep: () => {
      if (waiting.length > 1) return;
      void thread.workers.at(-1)?.terminate();
      waiting.push(caught(model.generate('name : ').text()), caught(training.pause()));
    },
  });
  waiting.push(caught(training));
  await doomed.closed;
  expect(waiting).toHaveLength(3);
  for (const error of await Promise.all(waiting)) {
    expect(isLowrankError(error)).toBe(true);
    expect(error).toMatchObject({ code: 'worker.died', remedy: expect.stringContaining('Start another') as string });
  }
  expect(await caught(model.evaluate(evalData))).toMatchObject({ code: 'worker.died' });
  expect(await doomed.closed).toMatchObject({ code: 'worker.died' });
});

test('a worker that throws or runs out of memory has died', async () => {
  const ends = {
    'out of its mind': `setImmediate(() => { throw new Error('out of its mind') })`,
    memory: `setImmediate(() => { const all = []; for (;;) all.push(new Array(1e5).fill(all.length)) })`,
  };
  for (const [reason, code] of Object.entries(ends)) {
    const resourceLimits = { maxOldGenerationSizeMb: 32 };
    const dying = await startTrainer({
      worker: () =>
        new Worker(`import(${JSON.stringify(thread.file)}).then(() => setTimeout(() => { ${code} }, 100))`, {
          eval: true,
          resourceLimits,
        }),
    });
    expect(await dying.closed).toMatchObject({ code: 'worker.died', got: expect.stringContaining(reason) as string });
  }
});

test('a file that is no worker is an error of the start', async () => {
  const worker = (): Worker => new Worker(join(golden, 'no such file.mjs'));
  expect(await caught(startTrainer({ worker }))).toMatchObject({
    code: 'worker.start',
    remedy: expect.stringContaining('lowrank/worker/thread') as string,
  });
});

test('dispose ends calls that wait, and every later one', async () => {
  const own = await startTrainer(thread);
  const model = await own.loadModel(folder, { device: 'cpu' });
  const training = caught(own.fineTune(model, { ...recipe, steps: 100_000 }));
  await soon(100);
  own.dispose();
  expect(await training).toMatchObject({ code: 'worker.closed' });
  expect(await caught(model.evaluate(evalData))).toMatchObject({ code: 'worker.closed' });
  expect(await own.closed).toBeUndefined();
  own.dispose();
});
