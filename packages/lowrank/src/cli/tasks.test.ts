import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fileSource, openSafetensors } from '@lowrank/safetensors';
import { describe, expect, test } from 'vitest';
import { fineTune, loadModel } from '../index.js';
import { readJson, readLines, runCli, scratch } from '../testing.js';

const golden = fileURLToPath(new URL('../../../../parity/golden/tasks', import.meta.url));
const model = `${golden}/model`;

interface Run {
  readonly batch: number;
  readonly steps: readonly { readonly loss: number; readonly norm: number }[];
  readonly before: number;
  readonly after: number;
}

const { learningRate, clip, tasks } = readJson<{
  readonly learningRate: number;
  readonly clip: number;
  readonly tasks: Readonly<Record<string, Run>>;
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

/** Two steps on these rows. */
async function trainBriefly(
  task: string,
  { data, output }: { readonly data: string; readonly output: string },
): Promise<void> {
  await ok('train', '--model', model, '--data', data, '--output', output, '--steps', '2', '--task', task);
}

async function evaluate(task: string, ...more: string[]): Promise<Evaluated> {
  const [result] = await ok<Evaluated>('eval', '--data', `${golden}/${task}/valid.jsonl`, ...more);
  if (result === undefined) throw new TypeError('eval printed nothing');
  return result;
}

function trainFlags(task: string, output: string, more: readonly string[]): string[] {
  const data = `${golden}/${task}/train.jsonl`;
  const budget = [
    '--steps',
    '20',
    '--batch-size',
    String(tasks[task]?.batch),
    '--no-shuffle',
    '--schedule',
    'constant',
  ];
  const rates = ['--learning-rate', String(learningRate), '--clip', String(clip), '--weight-decay', '0'];
  return ['train', '--model', model, '--data', data, '--output', output, ...budget, ...rates, ...more];
}

const namesIn = async (folder: string): Promise<string[]> =>
  [...(await openSafetensors(fileSource(`${folder}/adapter_model.safetensors`))).tensors.keys()].sort();

describe.each(Object.keys(tasks))('%s by the command line', (task) => {
  test('trains, evaluates, predicts and merges as transformers and PEFT do', async () => {
    const { steps, before, after } = tasks[task] as Run;
    using folder = scratch();
    const output = join(folder.path, 'adapter');
    const initial = `${golden}/${task}/adapter-initial`;
    // The adapter says its task.
    expect(Math.abs((await evaluate(task, '--model', model, '--adapter', initial)).loss / before - 1)).toBeLessThan(
      1e-5,
    );
    const lines = await ok<{ loss?: number; grad_norm?: number }>(
      ...trainFlags(task, output, ['--init-adapter', initial]),
    );
    const taken = lines.filter(({ grad_norm: norm }) => norm !== undefined);
    expect(taken.length).toBe(20);
    const off = steps.filter(
      ({ loss, norm }, at) =>
        !(Math.abs((taken[at]?.loss ?? NaN) - loss) < 1e-4 && Math.abs((taken[at]?.grad_norm ?? NaN) - norm) < 1e-4),
    );
    expect(off).toEqual([]);
    const trained = await evaluate(task, '--model', model, '--adapter', output);
    expect(trained.task).toBe(task);
    expect(Math.abs(trained.loss - after)).toBeLessThan(1e-4);
    await expectPeftFolder(output, `${golden}/${task}/adapter-final`);
    const merged = join(folder.path, 'merged');
    await ok('merge', '--model', model, '--adapter', output, '--output', merged);
    // Its architecture and labels say what it is for.
    const whole = await evaluate(task, '--model', merged);
    expect(Math.abs(whole.loss / trained.loss - 1)).toBeLessThan(1e-5);
    expect(whole.scores).toEqual(trained.scores);
    const rows = readLines<Record<string, unknown>>(`${golden}/${task}/valid.jsonl`);
    const predictions = await ok<Record<string, unknown>>(
      'predict',
      '--model',
      merged,
      '--data',
      `${golden}/${task}/valid.jsonl`,
    );
    expect(predictions.length).toBe(rows.length);
    if (task === 'text-classification') {
      const right = predictions.filter(({ label }, at) => label === rows[at]?.['label']).length;
      expect(right / rows.length).toBe(whole.scores['accuracy']);
      expect(predictions[0]).toEqual({
        label: expect.any(String),
        probabilities: { negative: expect.any(Number), positive: expect.any(Number) },
        logits: [expect.any(Number), expect.any(Number)],
      });
      const [said] = await ok<Record<string, unknown>>('predict', '--model', merged, String(rows[0]?.['text']));
      expect(said?.['label']).toBe(predictions[0]?.['label']);
      const logits = [said, predictions[0]].map((each) => each?.['logits'] as number[]);
      expect(
        Math.max(...(logits[0] ?? []).map((value, at) => Math.abs(value - (logits[1]?.[at] ?? NaN)))),
      ).toBeLessThan(1e-5);
    }
    if (task === 'token-classification')
      expect(predictions.map(({ tags }) => (tags as string[]).length)).toEqual(
        rows.map(({ tokens }) => (tokens as string[]).length),
      );
    if (task === 'question-answering')
      for (const [at, { answer, start }] of predictions.entries())
        expect(String(rows[at]?.['context']).slice(Number(start), Number(start) + String(answer).length)).toBe(answer);
  });
});

/** The keys of the weights, and what adapter_config.json says, are PEFT's. */
async function expectPeftFolder(ours: string, theirs: string): Promise<void> {
  expect(await namesIn(ours)).toEqual(await namesIn(theirs));
  const config = (folder: string): Record<string, unknown> => readJson(`${folder}/adapter_config.json`);
  const { base_model_name_or_path: _, peft_version: __, ...wanted } = config(theirs);
  const own = config(ours);
  const off = Object.keys(wanted)
    .filter((key) => key in own)
    .filter((key) => JSON.stringify(own[key] ?? null) !== JSON.stringify(wanted[key] ?? null));
  expect(off).toEqual([]);
  expect(own).toMatchObject({ task_type: wanted['task_type'], modules_to_save: wanted['modules_to_save'] });
}

test.each([
  ['full', 'model'],
  ['bitfit', 'adapter'],
  ['adapter', 'adapter'],
  ['prompt', 'adapter'],
  ['prefix', 'adapter'],
  ['ia3', 'adapter'],
  ['subspace', 'adapter'],
] as const)('text-classification with --method %s: what is saved says what was learned', async (method, kind) => {
  using folder = scratch();
  const output = join(folder.path, 'run');
  const virtual =
    method === 'prompt' || method === 'prefix'
      ? ['--virtual-tokens', '3']
      : method === 'subspace'
        ? ['--dimension', '50', '--seed', '3']
        : [];
  const lines = await ok<{ eval_loss?: number; trained_parameters?: number }>(
    ...trainFlags('text-classification', output, ['--method', method, ...virtual]),
    '--steps',
    '3',
    '--eval-data',
    `${golden}/text-classification/valid.jsonl`,
  );
  const { eval_loss: loss = NaN } = lines.at(-1) ?? {};
  const place = kind === 'model' ? ['--model', output] : ['--model', model, '--adapter', output];
  // What the adapter says that it is for has to be the task that is asked for, too.
  const evaluated = await evaluate('text-classification', '--task', 'text-classification', ...place);
  expect(Math.abs(evaluated.loss / loss - 1)).toBeLessThan(1e-5);
  if (method === 'subspace') expect(await namesIn(output)).toContain('initial.classifier.weight');
  else if (method !== 'full') {
    // PEFT has no tuner around the model where it puts virtual tokens before the text.
    const within = virtual.includes('--virtual-tokens') ? 'base_model' : 'base_model.model';
    expect(await namesIn(output)).toContain(`${within}.classifier.weight`);
  }
  if (method === 'full') {
    const config = readJson<Record<string, unknown>>(`${output}/config.json`);
    expect(config['architectures']).toEqual(['BertForSequenceClassification']);
    expect(config['id2label']).toEqual({ 0: 'negative', 1: 'positive' });
  }
});

test('a head for other labels takes the place of the base’s, in the merged folder too', async () => {
  using folder = scratch();
  const [base, output, merged] = ['base', 'run', 'merged'].map((name) => join(folder.path, name)) as [
    string,
    string,
    string,
  ];
  const two = `${golden}/text-classification/train.jsonl`;
  await ok('train', '--model', model, '--data', two, '--output', base, '--steps', '1', '--method', 'full');
  const { writeFile } = await import('node:fs/promises');
  const three = join(folder.path, 'three.jsonl');
  const rows = ['red', 'green', 'blue'].map((label) => ({ text: `It is ${label}.`, label }));
  await writeFile(three, rows.map((row) => JSON.stringify(row)).join('\n'));
  await ok('train', '--model', base, '--data', three, '--output', output, '--steps', '2');
  const apart = await ok('predict', '--model', base, '--adapter', output, '--data', three);
  await ok('merge', '--model', base, '--adapter', output, '--output', merged);
  const config = readJson<Record<string, unknown>>(`${merged}/config.json`);
  expect(config['id2label']).toEqual({ 0: 'blue', 1: 'green', 2: 'red' });
  const together = await ok<{ logits: readonly number[] }>('predict', '--model', merged, '--data', three);
  const logits = (apart as typeof together).flatMap((each) => each.logits);
  expect(logits).toHaveLength(9);
  together
    .flatMap((each) => each.logits)
    .forEach((value, at) => expect(Math.abs(value - (logits[at] ?? NaN))).toBeLessThan(1e-5));
});

test('QLoRA keeps the head in f32, and PEFT’s keys', async () => {
  using folder = scratch();
  const output = join(folder.path, 'run');
  const quantized = ['--quantization', 'nf4'];
  await ok(...trainFlags('text-classification', output, ['--r', '2', ...quantized]), '--steps', '2');
  expect(await namesIn(output)).toEqual(await namesIn(`${golden}/text-classification/adapter-final`));
  const { loss } = await evaluate('text-classification', '--model', model, '--adapter', output, ...quantized);
  expect(loss).toBeGreaterThan(0);
});

test('several labels, numbers and pairs of texts; labels that the model has not are an error', async () => {
  using folder = scratch();
  const write = async (name: string, rows: readonly object[]): Promise<string> => {
    const { writeFile } = await import('node:fs/promises');
    const path = join(folder.path, `${name}.jsonl`);
    await writeFile(path, rows.map((row) => JSON.stringify(row)).join('\n'));
    return path;
  };
  const several = await write('several', [
    { text: 'The film was dull.', labels: ['film', 'bad'] },
    { text: 'A lovely book', text_pair: 'and warm', labels: ['good'] },
    { text: 'The talk', labels: [] },
  ]);
  const numbers = await write('numbers', [
    { text: 'The film was dull.', label: 0.5 },
    { text: 'A lovely book', text_pair: 'and warm', label: 4.25 },
  ]);
  for (const [data, keys] of [
    [several, ['accuracy', 'f1', 'f1_micro', 'f1_macro']],
    [numbers, ['mse', 'pearson']],
  ] as const) {
    const output = `${data}.run`;
    await trainBriefly('text-classification', { data, output });
    const [result] = await ok<Evaluated>('eval', '--model', model, '--adapter', output, '--data', data);
    expect(Object.keys(result?.scores ?? {})).toEqual(keys);
    expect(existsSync(`${output}/task.json`)).toBe(true);
    const kept = JSON.parse(await readFile(`${output}/task.json`, 'utf8')) as Record<string, unknown>;
    expect(kept['task']).toBe('text-classification');
  }
  const other = await write('other', [{ text: 'The film', label: 'noisy' }]);
  const failed = await runCli([
    'eval',
    '--model',
    model,
    '--adapter',
    `${several}.run`,
    '--data',
    other,
    '--device',
    'cpu',
  ]);
  expect(failed.code).toBe(2);
  expect(failed.stderr).toContain('expected one of the labels bad, film, good, got noisy');
});

test('feature-extraction: pairs are learned, and predict gives an embedding of length 1', async () => {
  using folder = scratch();
  const output = join(folder.path, 'run');
  const { writeFile } = await import('node:fs/promises');
  const data = join(folder.path, 'pairs.jsonl');
  const texts = readLines<{ text: string }>(`${golden}/text-classification/train.jsonl`).slice(0, 8);
  await writeFile(data, texts.map(({ text }) => JSON.stringify({ text, text_pair: text.toUpperCase() })).join('\n'));
  await trainBriefly('feature-extraction', { data, output });
  const [result] = await ok<Evaluated>('eval', '--model', model, '--adapter', output, '--data', data);
  expect(Object.keys(result?.scores ?? {})).toEqual(['recall_at_1', 'recall_at_10']);
  const [said] = await ok<{ embedding: number[] }>('predict', '--model', model, '--adapter', output, 'A lovely book.');
  expect(said?.embedding.reduce((sum, value) => sum + value * value, 0)).toBeCloseTo(1, 5);
});

test('compare trains every method on a task, and scores by its metrics', async () => {
  using folder = scratch();
  const output = join(folder.path, 'study');
  const [data, test] = ['train', 'valid'].map((part) => `${golden}/text-classification/${part}.jsonl`);
  const place = ['--model', model, '--data', String(data), '--test-data', String(test), '--output', output];
  const budget = [
    '--steps',
    '3',
    '--tune-steps',
    '1',
    '--tune-rows',
    '8',
    '--learning-rates',
    '1e-2',
    '--batch-size',
    '4',
  ];
  const lines = await ok<{ rows?: readonly { method: string; scores: Record<string, { mean: number }> }[] }>(
    'compare',
    ...place,
    ...budget,
    '--methods',
    'lora,bitfit',
    '--metric',
    'accuracy,f1',
    '--target-modules',
    'query,value',
  );
  const rows = lines.at(-1)?.rows ?? [];
  expect(rows.map(({ scores }) => Object.keys(scores).sort())).toEqual([
    ['accuracy', 'f1', 'loss'],
    ['accuracy', 'f1', 'loss'],
  ]);
  expect(rows.every(({ scores }) => (scores['accuracy']?.mean ?? -1) >= 0)).toBe(true);
  const numbers = await runCli(['compare', ...place, ...budget, '--methods', 'lora', '--metric', 'pearson']);
  expect([numbers.code, numbers.stderr]).toEqual([
    2,
    expect.stringContaining(
      '--metric pearson: expected a metric of this task: loss, accuracy, f1, f1-macro, f1-micro, matthews',
    ),
  ]);
});

test('loadModel with a task is as the command line; a writer is fine-tuned for no task', async () => {
  const adapter = `${golden}/text-classification/adapter-final`;
  const data = `${golden}/text-classification/valid.jsonl`;
  const labels = ['negative', 'positive'];
  const judge = await loadModel(model, { task: 'text-classification', adapter, labels, device: 'cpu' });
  const [evaluated, wanted] = [
    await judge.evaluate(data),
    await evaluate('text-classification', '--model', model, '--adapter', adapter),
  ];
  expect(Math.abs(evaluated.loss - wanted.loss)).toBeLessThan(1e-6);
  expect(evaluated.scores).toEqual(wanted.scores);
  const [said] = await judge.predict('The film was dull.');
  expect(Object.keys(said?.['probabilities'] as object)).toEqual(labels);
  judge.dispose();
  const writer = await loadModel(`${golden}/../llama/tied`, { device: 'cpu' });
  await expect(fineTune(writer, { data: [{ text: 'a', label: 1 }], task: 'text-classification' })).rejects.toThrow(
    'Load the model for its task',
  );
  await writer.dispose();
});

test('export of a task is refused: other engines would train it to write text', async () => {
  using folder = scratch();
  const { writeFile } = await import('node:fs/promises');
  const file = join(folder.path, 'run.yaml');
  const data = `${golden}/text-classification/train.jsonl`;
  await writeFile(file, `model: ${model}\ndata: ${data}\noutput: ${folder.path}/run\ntask: text-classification\n`);
  const failed = await runCli(['export', file, '--to', 'trl', '--output', join(folder.path, 'out')]);
  expect([failed.code, failed.stderr]).toEqual([2, expect.stringContaining('a run that learns to write text')]);
});

test('an adapter of another task is refused by name, and so is one that writes text', async () => {
  using folder = scratch();
  const data = `${golden}/token-classification/valid.jsonl`;
  const asked = (adapter: string, task: string): string[] =>
    ['eval', '--model', model, '--adapter', adapter, '--task', task].concat('--data', data, '--device', 'cpu');
  const other = await runCli(asked(`${golden}/text-classification/adapter-final`, 'token-classification'));
  expect([other.code, other.stderr]).toEqual([
    2,
    expect.stringMatching(
      /--task token-classification with this adapter: expected text-classification, for which it was trained/,
    ),
  ]);
  const { cp, writeFile } = await import('node:fs/promises');
  const writer = join(folder.path, 'writer');
  await cp(`${golden}/text-classification/adapter-final`, writer, { recursive: true });
  const config = readJson<Record<string, unknown>>(`${writer}/adapter_config.json`);
  await writeFile(`${writer}/adapter_config.json`, JSON.stringify({ ...config, task_type: 'CAUSAL_LM' }));
  const written = await runCli(asked(writer, 'token-classification'));
  expect(written.stderr).toContain('got token-classification; the adapter writes text');
});
