import { fineTune, loadModel } from 'lowrank';
import type { WatchedState } from 'lowrank/worker';
import { startTrainer, watchTrainer } from 'lowrank/worker';
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
      const worker = new Worker(
        new URL('../../packages/lowrank/dist/browser/worker/trainerThread.js', import.meta.url),
        { type: 'module' },
      );
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

/** Another document of this origin, as another tab is one, that shares a trainer and trains on and on. */
function otherDocument(name: string): HTMLIFrameElement {
  const frame = document.createElement('iframe');
  frame.srcdoc = `<script type="module">
    import { startTrainer } from '${location.origin}/packages/lowrank/dist/browser/entries/worker.js';
    const file = async (name) => new File([await (await fetch('${location.origin}/${folder}/' + name)).blob()], name);
    const names = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
    const data = await (await fetch('${location.origin}/parity/golden/llama/train/rows.jsonl')).blob();
    const trainer = await startTrainer({ share: '${name}' });
    const model = await trainer.loadModel(await Promise.all(names.map(file)), { device: 'cpu' });
    await trainer.fineTune(model, { r: 4, data, steps: 1e6 });
  </script>`;
  document.body.append(frame);
  return frame;
}

test('one tab trains, others watch, and when it is closed another one takes over', async () => {
  const name = crypto.randomUUID();
  const states: WatchedState[] = [];
  const steps: number[] = [];
  const watch = watchTrainer(name, {
    onState: (state) => states.push(state),
    onEvent: (event) => event.type === 'step' && steps.push(event.step),
  });
  await expect.poll(() => states).toEqual(['free']);
  const frame = otherDocument(name);
  await expect.poll(() => steps.length, { timeout: 20_000 }).toBeGreaterThan(3);
  expect(states).toEqual(['free', 'idle', 'training']);
  await expect(startTrainer({ share: name })).rejects.toMatchObject({ code: 'worker.elsewhere' });

  // Who comes late hears what came before.
  const late: number[] = [];
  const second = watchTrainer(name, { onEvent: (event) => event.type === 'step' && late.push(event.step) });
  await expect.poll(() => late.length, { timeout: 5000 }).toBeGreaterThan(3);
  expect(late).toEqual(late.map((_, at) => at + 1));
  second.close();
  watch.pause();
  await new Promise((resolve) => setTimeout(resolve, 500));
  const paused = steps.length;
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(steps).toHaveLength(paused);
  watch.resume();
  await expect.poll(() => steps.length).toBeGreaterThan(paused);

  frame.remove();
  await expect.poll(() => states.at(-1), { timeout: 5000 }).toBe('free');
  const ends: string[] = [];
  const other = watchTrainer(name, { onEnd: ({ run, error }) => ends.push(run?.stoppedBy ?? String(error)) });
  const trainer = await startTrainer({ share: name });
  const model = await trainer.loadModel(await modelFiles(), { device: 'cpu' });
  const training = trainer.fineTune(model, { ...recipe, steps: 1e6, data: await rows() });
  await expect.poll(() => other.state).toBe('training');
  other.stop();
  expect(await training).toMatchObject({ interrupted: true });
  await expect.poll(() => ends).toEqual(['signal']);
  trainer.dispose();
  await expect.poll(() => states.at(-1)).toBe('free');
  expect(states).toEqual(['free', 'idle', 'training', 'free', 'idle', 'training', 'idle', 'free']);
  watch.close();
  other.close();
});
