import { cp, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fileSource, openSafetensors } from '@lowrank/safetensors';
import { expect, test } from 'vitest';
import { fineTune, loadModel } from '../index.js';
import { readJson, readLines, runCli, scratch } from '../testing.js';

/** What transformers and PEFT do with a tiny ViT and twelve images: parity/imageTask.py. */
const golden = fileURLToPath(new URL('../../../../parity/golden/imageTask', import.meta.url));
const images = fileURLToPath(new URL('../../../../parity/golden/images', import.meta.url));
const model = `${golden}/model`;
const rows = `${golden}/rows.jsonl`;

const answers = readJson<{
  readonly learningRate: number;
  readonly clip: number;
  readonly batch: number;
  readonly steps: readonly { readonly loss: number; readonly norm: number }[];
  readonly before: number;
  readonly after: number;
  readonly accuracy: number;
  readonly logits: readonly (readonly number[])[];
}>(`${golden}/golden.json`);

interface Evaluated {
  readonly task: string;
  readonly loss: number;
  readonly rows: number;
  readonly scores: Readonly<Record<string, number>>;
}

async function ok<T>(...argv: string[]): Promise<T[]> {
  const outcome = await runCli([...argv, '--device', 'cpu', '--json']);
  expect([outcome.code, outcome.code === 0 ? '' : outcome.stdout + outcome.stderr]).toEqual([0, '']);
  return outcome.json<T>();
}

async function evaluate(...place: string[]): Promise<Evaluated> {
  const [result] = await ok<Evaluated>('eval', ...place);
  if (result === undefined) throw new TypeError('eval printed nothing');
  return result;
}

const trainFlags = (output: string, ...more: string[]): string[] => {
  const { batch, learningRate, clip } = answers;
  const budget = ['--steps', '10', '--batch-size', `${batch}`, '--no-shuffle', '--schedule', 'constant'];
  const rates = ['--learning-rate', `${learningRate}`, '--clip', `${clip}`, '--weight-decay', '0'];
  return ['train', '--model', model, '--data', rows, '--output', output, ...budget, ...rates, ...more];
};

const namesIn = async (folder: string): Promise<string[]> =>
  [...(await openSafetensors(fileSource(`${folder}/adapter_model.safetensors`))).tensors.keys()].sort();

test('trains, evaluates, predicts and merges as transformers and PEFT do', async () => {
  using folder = scratch();
  const [output, merged] = [join(folder.path, 'adapter'), join(folder.path, 'merged')];
  const initial = `${golden}/adapter-initial`;
  const begun = await evaluate('--model', model, '--adapter', initial, '--data', rows);
  expect(Math.abs(begun.loss / answers.before - 1)).toBeLessThan(1e-5);
  const lines = await ok<{ loss?: number; grad_norm?: number }>(...trainFlags(output, '--init-adapter', initial));
  const taken = lines.filter(({ grad_norm: norm }) => norm !== undefined);
  expect(taken.length).toBe(10);
  answers.steps.forEach(({ loss, norm }, at) => {
    expect(Math.abs((taken[at]?.loss ?? NaN) - loss)).toBeLessThan(1e-4);
    expect(Math.abs((taken[at]?.grad_norm ?? NaN) - norm)).toBeLessThan(1e-4);
  });
  const trained = await evaluate('--model', model, '--adapter', output, '--data', rows);
  expect(trained).toMatchObject({ task: 'image-classification', rows: 12 });
  expect(Math.abs(trained.loss - answers.after)).toBeLessThan(1e-4);
  expect(Math.abs((trained.scores['accuracy'] ?? NaN) - answers.accuracy)).toBeLessThan(1e-6);
  // Without an image in memory, each read when it is its turn.
  const lean = join(folder.path, 'lean');
  await ok(...trainFlags(lean, '--init-adapter', initial, '--data-memory', '0'));
  const weights = (place: string): Promise<Buffer> => readFile(`${place}/adapter_model.safetensors`);
  expect(await weights(lean)).toEqual(await weights(output));
  // PEFT's files, with what it says where it has no task type.
  expect(await namesIn(output)).toEqual(await namesIn(`${golden}/adapter-final`));
  const theirs = readJson<Record<string, unknown>>(`${golden}/adapter-final/adapter_config.json`);
  const ours = readJson<Record<string, unknown>>(`${output}/adapter_config.json`);
  for (const key of ['task_type', 'auto_mapping', 'modules_to_save', 'r', 'lora_alpha'])
    expect([key, ours[key]]).toEqual([key, theirs[key]]);
  await ok('merge', '--model', model, '--adapter', output, '--output', merged);
  const whole = await evaluate('--model', merged, '--data', rows);
  expect(Math.abs(whole.loss / trained.loss - 1)).toBeLessThan(1e-5);
  // Under the names that transformers' files have, with the labels and the processor.
  const stored = await openSafetensors(fileSource(`${merged}/model.safetensors`));
  const origin = await openSafetensors(fileSource(`${model}/model.safetensors`));
  expect([...stored.tensors.keys()].sort()).toEqual([...origin.tensors.keys()].sort());
  expect(readJson<Record<string, unknown>>(`${merged}/config.json`)['id2label']).toEqual({
    0: 'bird',
    1: 'cat',
    2: 'dog',
  });
  const predictions = await ok<{ label: string; probabilities: object; logits: number[] }>(
    'predict',
    '--model',
    merged,
    '--data',
    rows,
  );
  predictions.forEach(({ logits }, at) =>
    logits.forEach((value, column) =>
      expect(Math.abs(value - (answers.logits[at]?.[column] ?? NaN))).toBeLessThan(1e-3),
    ),
  );
  expect(Object.keys(predictions[0]?.probabilities ?? {})).toEqual(['bird', 'cat', 'dog']);
  const [asked] = await ok<{ label: string }>('predict', '--model', merged, `${images}/alpha.webp`);
  expect(asked?.label).toBe(predictions[0]?.label);
});

test('a folder of classes is rows, and full fine-tuning writes a folder that transformers reads', async () => {
  using folder = scratch();
  const data = join(folder.path, 'data');
  const listed = readLines<{ image: string; label: string }>(rows);
  for (const [at, { image, label }] of listed.entries()) {
    const home = join(data, at < 8 ? 'train' : 'test', label);
    await mkdir(home, { recursive: true });
    await cp(join(golden, image), join(home, `${at}${/\.\w+$/.exec(image)?.[0] ?? ''}`));
  }
  const output = join(folder.path, 'full');
  await ok('train', '--model', model, '--data', data, '--output', output, '--steps', '2', '--method', 'full');
  const tested = await evaluate('--model', output, '--data', data);
  expect(tested).toMatchObject({ task: 'image-classification', rows: 4 });
  const stored = await openSafetensors(fileSource(`${output}/model.safetensors`));
  expect(stored.tensors.has('vit.encoder.layer.0.attention.attention.query.weight')).toBe(true);
  expect(readJson<Record<string, unknown>>(`${output}/preprocessor_config.json`)['do_convert_rgb']).toBe(true);
});

test('loadModel answers about bytes of images', async () => {
  const adapter = `${golden}/adapter-final`;
  const tasked = await loadModel(model, { task: 'image-classification', adapter, device: 'cpu' });
  const image = new Uint8Array(await readFile(`${images}/alpha.webp`));
  const [said] = await tasked.predict([{ image }]);
  ((said ?? {})['logits'] as number[]).forEach((value, at) =>
    expect(Math.abs(value - (answers.logits[0]?.[at] ?? NaN))).toBeLessThan(1e-3),
  );
  tasked.dispose();
});

test.each(['lora', 'full'] as const)('loadModel trains by %s where no folder is written', async (method) => {
  const tasked = await loadModel(model, {
    task: 'image-classification',
    labels: ['bird', 'cat', 'dog'],
    device: 'cpu',
  });
  const listed = readLines<{ image: string; label: string }>(rows);
  const data = await Promise.all(
    listed.map(async ({ image, label }) => ({ image: new Uint8Array(await readFile(join(golden, image))), label })),
  );
  const before = await tasked.evaluate(data);
  const learned = await fineTune(tasked, { data, method, steps: 20, learningRate: 5e-3 });
  const after = await tasked.evaluate(data);
  expect([learned.steps, after.loss < 0.7 * before.loss]).toEqual([20, true]);
  tasked.dispose();
});

test('a head for another number of labels begins anew, as with ignore_mismatched_sizes', async () => {
  const warnings: string[] = [];
  const tasked = await loadModel(model, {
    task: 'image-classification',
    labels: ['big', 'small'],
    device: 'cpu',
    onWarning: (text) => void warnings.push(text),
  });
  expect(warnings.join()).toContain('has no weights for classifier');
  const image = new Uint8Array(await readFile(`${images}/alpha.webp`));
  const [said] = await tasked.predict([{ image }]);
  expect(Object.keys((said ?? {})['probabilities'] as object)).toEqual(['big', 'small']);
  const run = await fineTune(tasked, { data: [{ image, label: 'small' }], steps: 8, learningRate: 1e-2 });
  expect(run.finalLoss).toBeLessThan(0.3);
  expect((await tasked.predict([{ image }]))[0]?.['label']).toBe('small');
  tasked.dispose();
});

test('what is wrong is named', async () => {
  using folder = scratch();
  const failed = async (...argv: string[]): Promise<string> => {
    const { code, stdout, stderr } = await runCli([...argv, '--device', 'cpu']);
    expect(code).not.toBe(0);
    return stdout + stderr;
  };
  expect(await failed('predict', '--model', model, 'nowhere.png')).toContain('nowhere.png');
  expect(
    await failed('train', '--model', model, '--data', rows, '--output', join(folder.path, 'a'), '--method', 'prompt'),
  ).toContain('images');
  const asTexts = await failed('eval', '--model', model, '--data', rows, '--task', 'text-classification');
  expect(asTexts).toContain('a head for text-classification on ViT: expected image-classification, since it reads');
});
