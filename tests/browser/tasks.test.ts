import { fineTune, loadModel } from 'lowrank';
import type { TaskedModel } from 'lowrank';
import type { RemoteFineTuneOptions, RemoteLoadTaskOptions } from 'lowrank/worker';
import { startTrainer } from 'lowrank/worker';
import { expect, test } from 'vitest';
import { fetchFile, fetchJson, fetchText } from '../helpers/browserFiles';

// Models with the head of a task in a tab, in the page and in its worker.

const golden = 'parity/golden';

async function filesOf(folder: string, names: readonly string[]): Promise<File[]> {
  const bytes = await Promise.all(names.map((name) => fetchFile(`${golden}/${folder}/${name}`)));
  return bytes.map((each, at) => new File([new Uint8Array(each)], names[at] ?? ''));
}

const weights = ['config.json', 'model.safetensors'];
const adapter = ['adapter_config.json', 'adapter_model.safetensors'];
const rowsOf = async (path: string): Promise<{ image?: string; label: string }[]> =>
  (await fetchText(`${golden}/${path}`))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { image?: string; label: string });

test('fineTune with a task learns texts in a tab as PEFT does', async () => {
  interface Golden {
    readonly learningRate: number;
    readonly clip: number;
    readonly tasks: Readonly<
      Record<string, { readonly batch: number; readonly steps: readonly { readonly loss: number }[] }>
    >;
  }
  const { learningRate, clip, tasks } = await fetchJson<Golden>(`${golden}/tasks/golden.json`);
  const { batch = 0, steps = [] } = tasks['text-classification'] ?? {};
  const files = await filesOf('tasks/model', [...weights, 'tokenizer.json', 'tokenizer_config.json']);
  const model = await loadModel(files, {
    task: 'text-classification',
    labels: ['negative', 'positive'],
    device: 'cpu',
  });
  const losses: number[] = [];
  const run = await fineTune(model, {
    data: await rowsOf('tasks/text-classification/train.jsonl'),
    initAdapter: await filesOf('tasks/text-classification/adapter-initial', adapter),
    steps: 20,
    batchSize: batch,
    shuffle: false,
    schedule: 'constant',
    learningRate,
    clip,
    weightDecay: 0,
    onStep: ({ loss }) => void losses.push(loss),
  });
  expect(run.steps).toBe(20);
  losses.forEach((loss, at) => expect(Math.abs(loss - (steps[at]?.loss ?? NaN))).toBeLessThan(1e-4));
  model.dispose();
});

const asked: RemoteLoadTaskOptions = { task: 'image-classification', labels: ['bird', 'cat', 'dog'] };
const recipe = { steps: 8, batchSize: 4, learningRate: 1e-2, seed: 3 };

async function imageRows(): Promise<{ image: Blob; label: string }[]> {
  const rows = await rowsOf('imageTask/rows.jsonl');
  return Promise.all(
    rows.map(async ({ image, label }) => ({
      image: new Blob([new Uint8Array(await fetchFile(`${golden}/imageTask/${String(image)}`))]),
      label,
    })),
  );
}

const imageModel = (): Promise<File[]> => filesOf('imageTask/model', [...weights, 'preprocessor_config.json']);

test.each(['cpu', 'webgpu'] as const)(
  'on %s images are learned in the page and in the worker alike',
  async (device) => {
    const data = await imageRows();
    const losses: Record<'here' | 'there', number[]> = { here: [], there: [] };
    const options = (into: number[]): RemoteFineTuneOptions => ({
      ...recipe,
      data,
      onStep: ({ loss }) => void into.push(loss),
    });
    const here: TaskedModel = await loadModel(await imageModel(), { ...asked, device });
    const before = await here.evaluate(data);
    await fineTune(here, options(losses.here));
    const after = await here.evaluate(data);
    expect(after.loss).toBeLessThan(0.8 * before.loss);
    const trainer = await startTrainer();
    const there = await trainer.loadModel(await imageModel(), { ...asked, device });
    const run = await trainer.fineTune(there, options(losses.there));
    const digits = device === 'cpu' ? 6 : 4;
    expect(losses.there).toHaveLength(recipe.steps);
    losses.here.forEach((loss, at) => expect(losses.there[at]).toBeCloseTo(loss, digits));
    expect((await there.evaluate(data)).loss).toBeCloseTo(after.loss, digits);
    const [said] = await there.predict([{ image: data[0]?.image }]);
    expect(Object.keys((said?.['probabilities'] ?? {}) as object)).toEqual(asked.labels);
    // What was learned goes into a fresh model as files.
    const files = Object.entries(await run.files()).map(([name, content]) => new File([content as BlobPart], name));
    const again = await trainer.loadModel(await imageModel(), { ...asked, adapter: files, device });
    expect((await again.evaluate(data)).loss).toBeCloseTo(after.loss, digits);
    here.dispose();
    trainer.dispose();
  },
);
