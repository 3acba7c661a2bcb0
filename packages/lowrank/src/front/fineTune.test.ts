import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createCpuBackend } from '@lowrank/cpu';
import { expect, test } from 'vitest';
import { golden, readJson, runCli, scratch } from '../testing.js';
import { fineTune, holdState, loadModel } from '../index.js';
import type { FineTuneOptions, MethodFiles, RunState } from '../index.js';

const folder = join(golden, 'tied');
const data = join(golden, 'train/rows.jsonl');
const evalData = join(golden, 'train/eval.jsonl');
const recipe = { r: 4, alpha: 8, learningRate: 1e-2, batchSize: 4, seed: 3 };

test('a run trains, saves what the command line evaluates alike, and is taken out again', async () => {
  using place = scratch();
  const model = await loadModel(folder, { device: 'cpu' });
  const before = await model.evaluate(evalData);
  const written = await model.generate('name : ', { maxNewTokens: 8 }).text();
  const losses: number[] = [];
  const run = await fineTune(model, {
    ...recipe,
    data,
    evalData,
    steps: 30,
    targetModules: 'all-linear',
    onStep: ({ loss }) => void losses.push(loss),
  });
  expect(losses).toHaveLength(30);
  expect(run).toMatchObject({ steps: 30, method: 'lora', interrupted: false, finalLoss: losses.at(-1) });
  expect(run.evaluation?.loss).toBeLessThan(before.loss);
  expect((await run.evaluate()).loss).toBeCloseTo(run.evaluation?.loss ?? NaN, 6);
  await run.save(join(place.path, 'adapter'));
  const adapter = join(place.path, 'adapter');
  expect(readdirSync(adapter).sort()).toEqual(['README.md', 'adapter_config.json', 'adapter_model.safetensors']);
  expect(readJson(join(adapter, 'adapter_config.json'))).toMatchObject({ r: 4, base_model_name_or_path: folder });
  const argv = ['eval', '--model', folder, '--adapter', adapter, '--data', evalData, '--device', 'cpu', '--json'];
  const [told] = (await runCli(argv)).json<{ loss: number }>();
  expect(told?.loss).toBeCloseTo(run.evaluation?.loss ?? NaN, 5);
  expect(await model.generate('name : ', { maxNewTokens: 8 }).text()).not.toBe(written);
  await run.remove();
  expect((await model.evaluate(evalData)).loss).toBe(before.loss);
  expect(await model.generate('name : ', { maxNewTokens: 8 }).text()).toBe(written);
  await model.loadAdapter(adapter);
  expect((await model.evaluate(evalData)).loss).toBeCloseTo(told?.loss ?? NaN, 5);
  await model.activateAdapter([]);
  expect((await model.evaluate(evalData)).loss).toBe(before.loss);
  await model.dispose();
});

test('dispose frees all that loading, training and writing put on the device', async () => {
  const backend = await createCpuBackend();
  const { bytes } = backend.memory;
  for (const method of ['lora', 'full'] as const) {
    const model = await loadModel(folder, { device: backend });
    const own = method === 'lora' ? { r: 4 } : {};
    await fineTune(model, { ...own, method, data, steps: 2 });
    await model.generate('name : ', { maxNewTokens: 4 }).text();
    await model.dispose();
    expect({ method, bytes: backend.memory.bytes }).toEqual({ method, bytes });
  }
  backend.dispose();
});

test('rows as objects, a run that is stopped, and one that goes on from its adapter', async () => {
  using place = scratch();
  const rows = readFileSync(data, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as object);
  const model = await loadModel(folder, { device: 'cpu' });
  const training = fineTune(model, {
    ...recipe,
    data: rows,
    steps: 1000,
    onStep: ({ step }) => step === 3 && training.stop(),
  });
  const run = await training;
  expect(run.interrupted).toBe(true);
  expect(run.steps).toBeLessThan(10);
  await run.save(place.path);
  await run.remove();
  const { loss } = await model.evaluate(evalData);
  const more = await fineTune(model, { data: rows, initAdapter: place.path, steps: 20, learningRate: 1e-2 });
  expect((await more.evaluate(evalData)).loss).toBeLessThan(loss);
  await model.dispose();
});

test.each<[object, string]>([
  [{ rank: 16 }, 'the option rank: expected r, got rank'],
  [{ stepps: 16 }, 'the option stepps: expected steps'],
  [{ learning_rate: 1 }, 'expected learningRate'],
  [{ r: 0 }, 'expected a whole number of at least 1, got 0'],
  [{ steps: 'many' }, 'steps: expected a whole number'],
  [{ method: 'lorra' }, 'the option method: expected lora, full'],
  [{ method: 'full', r: 4 }, "r with method 'full'"],
  [{ quantization: 'nf4' }, 'Give it to loadModel'],
  [{ init: 'loftq' }, 'quantization'],
  [{ data: undefined }, 'the option data: expected rows to train on'],
])('%j is refused before anything is trained', async (options, words) => {
  const model = await loadModel(folder, { device: 'cpu' });
  await expect(fineTune(model, { data, steps: 1, ...options })).rejects.toThrow(words);
  expect([...model.network.namedModules()].some(([path]) => path.endsWith('base_layer'))).toBe(false);
  await model.dispose();
});

test('LoftQ and EVA find what they need by themselves', async () => {
  const model = await loadModel(folder, { device: 'cpu', quantization: 'nf4' });
  for (const init of ['loftq', 'eva'] as const) {
    const run = await fineTune(model, { data, steps: 1, r: 2, init });
    expect(run.finalLoss).toBeGreaterThan(0);
    await run.remove();
  }
  await model.dispose();
});

test('a training goes on from a state, and looks at its weights between two steps', async () => {
  const options = { data, r: 2, dropout: 0.1, steps: 6, learningRate: 5e-3, batchSize: 4, evalData: data } as const;
  const states: RunState[] = [];
  const looked: [number, MethodFiles][] = [];
  const train = async (part: Partial<FineTuneOptions>): Promise<MethodFiles> => {
    const model = await loadModel(folder, { device: 'cpu' });
    try {
      return await (await fineTune(model, { ...options, ...part })).files();
    } finally {
      await model.dispose();
    }
  };
  const whole = await train({
    saveEvery: 4,
    evaluateEvery: 2,
    onCheckpoint: async (state) => states.push(await holdState(state)),
    betweenSteps: { every: 6, run: async ({ step, files }) => looked.push([step, await files()]) },
  });
  expect(states.map(({ step }) => step)).toContain(4);
  const bytes = (files: MethodFiles | undefined): unknown => files?.['adapter_model.safetensors'];
  expect(looked.map(([step]) => step)).toEqual([6]);
  expect(bytes(looked[0]?.[1])).toEqual(bytes(whole));
  const rest = await train({ resumeFrom: states.find(({ step }) => step === 4) });
  expect(bytes(whole)).toBeInstanceOf(Uint8Array);
  expect(bytes(rest)).toEqual(bytes(whole));
  await expect(train({ resumeFrom: states[0], method: 'ia3', r: undefined, dropout: undefined })).rejects.toMatchObject(
    {
      code: 'run.changed',
    },
  );
});
