import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Measures } from '@lowrank/trainer';
import { expect, test } from 'vitest';
import { fineTune, loadModel } from '../index.js';
import { readJson, readLines, scratch } from '../testing.js';

const golden = fileURLToPath(new URL('../../../../parity/golden/tasks', import.meta.url));
const model = `${golden}/model`;
const labels = ['negative', 'positive'];
const { learningRate, clip, tasks } = readJson<{
  readonly learningRate: number;
  readonly clip: number;
  readonly tasks: Readonly<
    Record<
      string,
      { readonly batch: number; readonly steps: readonly { readonly loss: number }[]; readonly after: number }
    >
  >;
}>(`${golden}/golden.json`);

test('fineTune trains a model with a head as PEFT does; what it saves is loaded again', async () => {
  const { batch = 0, steps = [], after = NaN } = tasks['text-classification'] ?? {};
  const place = `${golden}/text-classification`;
  using folder = scratch();
  const judge = await loadModel(model, { task: 'text-classification', labels, device: 'cpu' });
  const losses: number[] = [];
  const run = await fineTune(judge, {
    // Rows in memory, as a page has them.
    data: readLines<object>(`${place}/train.jsonl`),
    evalData: `${place}/valid.jsonl`,
    // As a page has it.
    initAdapter: ['adapter_config.json', 'adapter_model.safetensors'].map(
      (name) => new File([readFileSync(`${place}/adapter-initial/${name}`)], name),
    ),
    steps: 20,
    batchSize: batch,
    shuffle: false,
    schedule: 'constant',
    learningRate,
    clip,
    weightDecay: 0,
    onStep: ({ loss }) => void losses.push(loss),
  });
  expect(losses.filter((loss, at) => !(Math.abs(loss - (steps[at]?.loss ?? NaN)) < 1e-4))).toEqual([]);
  expect(losses).toHaveLength(20);
  expect(Math.abs((run.evaluation?.loss ?? NaN) - after)).toBeLessThan(1e-4);
  const evaluated = await run.evaluate();
  expect(Math.abs(evaluated.loss - after)).toBeLessThan(1e-4);
  expect(Object.keys(evaluated.measures)).toContain('accuracy');
  const said = await judge.predict(['The film was lovely.', 'The play was flat.']);
  await run.save(folder.path);
  const again = await loadModel(model, { task: 'text-classification', adapter: folder.path, device: 'cpu' });
  expect(again.labels).toEqual(labels);
  const repeated = await again.predict(['The film was lovely.', 'The play was flat.']);
  expect(repeated.map(({ label }) => label)).toEqual(said.map(({ label }) => label));
  again.dispose();
  await run.remove();
  judge.dispose();
});

test('scores of a task at each evaluation are those of evaluate, and decide which is the best', async () => {
  const place = `${golden}/text-classification`;
  const judge = await loadModel(model, { task: 'text-classification', labels, device: 'cpu' });
  const given = { data: `${place}/train.jsonl`, evalData: `${place}/valid.jsonl`, steps: 6, evaluateEvery: 2 };
  const seen: { readonly step: number; readonly isBest: boolean; readonly measures: Measures }[] = [];
  const run = await fineTune(judge, {
    ...given,
    learningRate: 0.02,
    evaluationMetrics: ['f1', 'accuracy'],
    onEvent: (event) => void (event.type === 'evaluated' && seen.push(event)),
  });
  const { scores } = await judge.evaluate(given.evalData);
  expect(run.evaluation?.measures).toMatchObject({ f1: scores['f1'], accuracy: scores['accuracy'] });
  const trained = seen.filter(({ step }) => step > 0);
  expect(trained.map(({ step }) => step)).toEqual([2, 4, 6]);
  const best = trained.findLast(({ isBest }) => isBest);
  expect(best?.measures['f1']).toBe(Math.max(...trained.map(({ measures }) => measures['f1'] ?? NaN)));
  await run.remove();
  // Each leaves the model as it was: the next one may put its adapter in.
  const refused = (part: object): Promise<unknown> => fineTune(judge, { ...given, ...part } as typeof given);
  await expect(refused({ evaluationMetrics: ['f1', 'rouge-l'] })).rejects.toThrow(
    'expected some of loss, accuracy, f1, f1-macro, f1-micro, matthews, got rouge-l',
  );
  await expect(refused({ evaluationMetrics: ['f1'], evaluationPrompts: 8 })).rejects.toThrow('scores over all rows');
  judge.dispose();
});

test.each([
  [{ task: 'classify' }, 'the option task: expected text-classification, '],
  [{ problemType: 'regresion' }, 'the option problemType: expected single_label_classification, '],
  [{ labels: [] }, 'the option labels: expected a name for each label, no two alike, got []'],
  [{ labels: ['bill', 'bill'] }, 'the option labels: expected a name for each label'],
])('loadModel with %j is refused', async (wrong, said) => {
  const options = { task: 'text-classification', device: 'cpu', ...wrong } as Parameters<typeof loadModel>[1];
  await expect(loadModel(model, options)).rejects.toThrow(said);
});

test('labels that the model was not loaded with, and what only texts have, are errors', async () => {
  const judge = await loadModel(model, { task: 'text-classification', device: 'cpu' });
  const data = [{ text: 'The film was lovely.', label: 'good' }];
  await expect(fineTune(judge, { data, steps: 1 })).rejects.toThrow(/loadModel\(source, \{ task: 'text-class/);
  await expect(fineTune(judge, { data, loss: 'dpo' })).rejects.toThrow('one of the two');
  await expect(fineTune(judge, { data, output: 'run' })).rejects.toThrow(/run\.save\(folder\)/);
  await expect(fineTune(judge, { data, task: 'text-classification' })).rejects.toThrow('Load the model for its task');
  judge.dispose();
});

test('a model is loaded to learn numbers or several labels; an adapter keeps what it has learned', async () => {
  using folder = scratch();
  const task = 'text-classification';
  const rows = [
    { text: 'The film was lovely.', label: 4.5 },
    { text: 'The play was flat.', label: 1 },
  ];
  const judge = await loadModel(model, { task, problemType: 'regression', device: 'cpu' });
  const budget = { steps: 3, batchSize: 2, learningRate: 0.01 };
  const run = await fineTune(judge, { data: rows, ...budget });
  expect(run.finalLoss).toBeGreaterThan(0);
  const { loss, scores } = await judge.evaluate(rows);
  expect(Object.keys(scores)).toEqual(['mse', 'pearson']);
  expect(scores['mse']).toBeCloseTo(loss, 5);
  const said = await judge.predict('The film was lovely.');
  expect(said).toEqual([{ label: expect.any(Number), logits: [expect.any(Number)] }]);
  await run.save(folder.path);
  judge.dispose();
  const again = await loadModel(model, { task, adapter: folder.path, device: 'cpu' });
  expect(await again.predict('The film was lovely.')).toEqual(said);
  again.dispose();
  const asked = { task, adapter: folder.path, device: 'cpu' } as const;
  await expect(loadModel(model, { ...asked, problemType: 'single_label_classification' })).rejects.toThrow(
    'expected regression, for which it was trained',
  );
  await expect(loadModel(model, { ...asked, labels: ['a', 'b'] })).rejects.toThrow(
    'expected 1 name, as the adapter has columns, got 2: a, b',
  );
  const tagger = await loadModel(model, { task, problemType: 'multi_label_classification', labels, device: 'cpu' });
  const [several] = await tagger.predict('The film was lovely.');
  expect(Object.values(several?.['probabilities'] as object)).toHaveLength(2);
  expect(several?.['label']).toBeInstanceOf(Array);
  tagger.dispose();
});
