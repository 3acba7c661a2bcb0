import { fineTune, loadModel } from 'lowrank';
import { startTrainer } from 'lowrank/worker';
import { expect, test } from 'vitest';
import { fetchFile } from '../helpers/browserFiles';

const folder = 'parity/golden/llama/tied';
const modelFiles = (): Promise<File[]> =>
  Promise.all(
    ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'].map(
      async (name) => new File([new Uint8Array(await fetchFile(`${folder}/${name}`))], name),
    ),
  );
const rows = async (): Promise<Blob> =>
  new Blob([new Uint8Array(await fetchFile('parity/golden/llama/train/rows.jsonl'))]);
const recipe = { r: 4, alpha: 8, learningRate: 1e-2, batchSize: 4, seed: 3, steps: 4 };

test.each(['cpu', 'webgpu'] as const)('on %s the worker’s losses and files are this page’s', async (device) => {
  const losses: Record<string, number[]> = { here: [], there: [] };
  const here = await loadModel(await modelFiles(), { device });
  const run = await fineTune(here, { ...recipe, data: await rows(), onStep: ({ loss }) => losses.here?.push(loss) });
  const trainer = await startTrainer();
  const there = await trainer.loadModel(await modelFiles(), { device });
  expect(there.device).toEqual({ name: device, description: here.backend.description });
  const remote = await trainer.fineTune(there, {
    ...recipe,
    data: await rows(),
    onStep: ({ loss }) => losses.there?.push(loss),
  });
  expect(losses.there).toHaveLength(4);
  losses.here?.forEach((loss, at) => expect(losses.there?.[at]).toBeCloseTo(loss, device === 'cpu' ? 6 : 4));
  expect(Object.keys(await remote.files())).toEqual(Object.keys(await run.files()));
  const options = { maxNewTokens: 6 };
  expect(await there.generate('name : ', options).text()).toBe(await here.generate('name : ', options).text());
  await here.dispose();
  trainer.dispose();
});

test('a worker that is gone without a word is noticed', async () => {
  const workers: Worker[] = [];
  const trainer = await startTrainer({
    worker() {
      const thread = new URL('/packages/lowrank/dist/browser/trainerThread.js', location.href);
      const worker = new Worker(thread, { type: 'module' });
      workers.push(worker);
      return worker;
    },
  });
  const model = await trainer.loadModel(await modelFiles(), { device: 'cpu' });
  const training = trainer.fineTune(model, { ...recipe, steps: 100_000, data: await rows() });
  workers[0]?.terminate();
  await expect(training).rejects.toMatchObject({ code: 'worker.died' });
  expect(await trainer.closed).toMatchObject({ code: 'worker.died' });
});

test('a worker whose file is not there is an error of the start', async () => {
  const worker = (): Worker => new Worker(new URL('/no such file.js', location.href), { type: 'module' });
  await expect(startTrainer({ worker })).rejects.toMatchObject({ code: 'worker.start' });
});
