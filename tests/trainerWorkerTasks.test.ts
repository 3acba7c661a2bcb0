import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fineTune, loadModel } from 'lowrank';
import type { LoadTaskOptions } from 'lowrank';
import type { RemoteFineTuneOptions, RemoteTaskedModel, Trainer } from 'lowrank/worker';
import { startTrainer } from 'lowrank/worker';
import { root } from '../scripts/lib/paths.mjs';
import type { BuiltThread } from './helpers/trainerThread';
import { buildThread } from './helpers/trainerThread';

// Models with the head of a task through the worker: what this thread does with them, it does.

const golden = join(root, 'parity/golden');
let thread: BuiltThread;
let trainer: Trainer;
beforeAll(async () => {
  thread = await buildThread();
  trainer = await startTrainer(thread);
});
afterAll(() => {
  trainer?.dispose();
  thread?.[Symbol.dispose]();
});

const rowsOf = (path: string): Record<string, unknown>[] =>
  readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
const texts = rowsOf(join(golden, 'tasks/text-classification/train.jsonl'));
const images = rowsOf(join(golden, 'imageTask/rows.jsonl')).map(({ image, label }) => ({
  // As a page has them.
  image: new Uint8Array(readFileSync(join(golden, 'imageTask', String(image)))),
  label,
}));
const cases: readonly (readonly [string, string, LoadTaskOptions, object[]])[] = [
  ['texts', 'tasks/model', { task: 'text-classification', labels: ['negative', 'positive'] }, texts],
  ['images', 'imageTask/model', { task: 'image-classification', labels: ['bird', 'cat', 'dog'] }, images],
];

test.each(cases)('%s are learned in the worker as here', async (_, folder, asked, rows) => {
  const options = { ...asked, device: 'cpu' } as const;
  const recipe = {
    data: rows,
    evalData: rows,
    steps: 4,
    batchSize: 4,
    learningRate: 1e-2,
    seed: 3,
  } satisfies RemoteFineTuneOptions;
  const here = await loadModel(join(golden, folder), options);
  const there = await trainer.loadModel(join(golden, folder), options);
  expect(there).toMatchObject({ task: asked.task, labels: asked.labels, device: { name: 'cpu' } });
  const losses: Record<'here' | 'there', number[]> = { here: [], there: [] };
  const run = await fineTune(here, { ...recipe, onStep: ({ loss }) => void losses.here.push(loss) });
  const remote = await trainer.fineTune(there, { ...recipe, onStep: ({ loss }) => void losses.there.push(loss) });
  expect(losses.there).toEqual(losses.here);
  expect(losses.here).toHaveLength(4);
  const { trainedParameters, evaluation } = run;
  expect(remote).toMatchObject({ steps: 4, trainedParameters, evaluation });
  expect(await there.evaluate(rows)).toEqual(await here.evaluate(rows));
  const unlabelled = rows.slice(0, 3).map((row) => ({ ...row, label: undefined }));
  expect(await there.predict(unlabelled)).toEqual(await here.predict(unlabelled));
  expect(await remote.files()).toEqual(await run.files());
  await there.dispose();
  here.dispose();
});

/** Labels of a few images, between two steps of a training or after it. */
const saidOf = async (model: RemoteTaskedModel): Promise<unknown[]> =>
  (await model.predict(images.slice(0, 2))).map(({ logits }) => logits);

test('a training can be paused, asked and stopped; errors are those of this thread', async () => {
  const [, folder, asked] = cases[1] ?? [];
  if (folder === undefined || asked === undefined) throw new TypeError('no case');
  const model = await trainer.loadModel(join(golden, folder), { ...asked, device: 'cpu' });
  const before = await saidOf(model);
  const training = trainer.fineTune(model, { data: images, steps: 5000, batchSize: 4, learningRate: 1e-2 });
  const step = await training.pause();
  const paused = await saidOf(model);
  expect(paused).not.toEqual(before);
  expect(await saidOf(model)).toEqual(paused);
  await expect(model.dispose()).rejects.toMatchObject({ code: 'worker.training' });
  training.stop();
  expect(await training).toMatchObject({ steps: step, interrupted: true });
  const strange = [{ image: images[0]?.image, label: 'fish' }];
  await expect(trainer.fineTune(model, { data: strange })).rejects.toMatchObject({ code: 'tasks.label' });
  await expect(model.predict([{ text: 'no image' }])).rejects.toMatchObject({ code: 'images.missing' });
  await model.dispose();
});
