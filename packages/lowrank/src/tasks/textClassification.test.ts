import { recordsOf } from '@lowrank/data';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Labels, ProblemType } from './labels.js';
import { labelsOfTrained, oneLabelWarning, wholeNumbersWarning } from './labels.js';
import { readTaskRows } from './taskRows.js';
import type { Task } from './task.js';
import { targetOf, textClassification } from './textClassification.js';

interface Learned {
  readonly problem: string;
  readonly names: readonly string[];
  readonly targets: readonly number[];
}

/** Labels as a file of JSON lines writes them: what they are taken for, and the columns of the targets. */
async function learned(written: readonly string[], known?: Labels): Promise<Learned> {
  return learnedFrom('rows.jsonl', written.map((label) => `{"text": "a film", ${label}}`).join('\n'), { known });
}

/** The same of the cells of a CSV file. */
function learnedCells(cells: readonly string[], given?: Given): Promise<Learned> {
  return learnedFrom('rows.csv', ['text,label', ...cells.map((cell) => `a film,${cell}`)].join('\n'), given);
}

interface Given {
  readonly known?: Labels | undefined;
  readonly asked?: ProblemType;
}

async function learnedFrom(name: string, content: string, { known, asked }: Given = {}): Promise<Learned> {
  const folder = await mkdtemp(join(tmpdir(), 'labels-'));
  try {
    const file = join(folder, name);
    await writeFile(file, content);
    const rows = readTaskRows(textClassification as unknown as Task, await recordsOf(file));
    const labels =
      known ??
      textClassification.labels(rows as unknown as Parameters<typeof textClassification.labels>[0], undefined, asked);
    const placed = rows.map((row) => {
      const target = targetOf(row as unknown as Parameters<typeof targetOf>[0], labels);
      return { document: { ids: [], types: [], fullLength: 0, target }, start: 0 };
    });
    const { targets, labels: ids } = textClassification.targets({ placed, slots: rows.length, size: 0, labels });
    return { problem: labels.problem, names: labels.names, targets: [...((targets ?? ids)?.data ?? [])] as number[] };
  } finally {
    await rm(folder, { recursive: true });
  }
}

test('a number with a point is a number to be learned, also where nothing follows the point', async () => {
  const one = { problem: 'regression', names: ['LABEL_0'] };
  expect(await learned(['"label": 3.0', '"label": 1.0'])).toEqual({ ...one, targets: [3, 1] });
  expect(await learned(['"label": 2', '"label": 0.5'])).toEqual({ ...one, targets: [2, 0.5] });
  expect(await learned(['"labels": [0.5, -1.0, 2.0]', '"labels": [0.0, 1, 1.0]'])).toEqual({
    problem: 'regression',
    names: ['LABEL_0', 'LABEL_1', 'LABEL_2'],
    targets: [0.5, -1, 2, 0, 1, 1],
  });
});

test('a number without a point is the place of a label', async () => {
  const names = ['LABEL_0', 'LABEL_1', 'LABEL_2'];
  const single = { problem: 'single_label_classification', names, targets: [0, 2] };
  expect(await learned(['"label": 0', '"label": 2'])).toEqual(single);
  const several = { problem: 'multi_label_classification', names, targets: [1, 0, 1, 0, 0, 0] };
  expect(await learned(['"labels": [0, 2]', '"labels": []'])).toEqual(several);
});

test('names among numbers, and more or fewer numbers than columns, are errors and no numbers', async () => {
  await expect(learned(['"label": 0.5', '"label": "good"'])).rejects.toThrow(
    'rows.jsonl, line 2: expected a number, got "good"',
  );
  await expect(learned(['"labels": [0.5, 1.5]', '"label": 1.5'])).rejects.toThrow('expected 2 numbers, got 1.5');
  const known: Labels = { names: ['LABEL_0'], problem: 'regression' };
  await expect(learned(['"labels": [0.5, 1.5]', '"label": 1.5'], known)).rejects.toThrow('a number, got 0.5, 1.5');
});

test('a CSV column is read as pandas does: numbers with a point are learned, others and texts are names', async () => {
  expect(await learnedCells(['4.5', '3', '-1e1'])).toEqual({
    problem: 'regression',
    names: ['LABEL_0'],
    targets: [4.5, 3, -10],
  });
  const stars = await learnedCells(['10', '2', '10', '1']);
  expect(stars).toEqual({
    problem: 'single_label_classification',
    names: ['1', '2', '10'],
    targets: [2, 1, 2, 0],
  });
  expect((await learnedCells(['4.5', 'good'])).names).toEqual(['4.5', 'good']);
  // What was trained on such numbers reads whole ones as numbers too, and names as an error.
  const known: Labels = { names: ['LABEL_0'], problem: 'regression' };
  expect((await learnedCells(['3', '4'], { known })).targets).toEqual([3, 4]);
  await expect(learnedCells(['good'], { known })).rejects.toThrow('expected a number, got "good"');
});

test('what is asked for goes before what is written', async () => {
  const numbers = await learnedCells(['1', '5'], { asked: 'regression' });
  expect(numbers).toEqual({ problem: 'regression', names: ['LABEL_0'], targets: [1, 5] });
  const names = await learnedCells(['4.5', '3.0'], { asked: 'single_label_classification' });
  expect(names).toEqual({ problem: 'single_label_classification', names: ['3.0', '4.5'], targets: [1, 0] });
  const several = await learnedCells(['bad', 'good'], { asked: 'multi_label_classification' });
  expect(several).toEqual({ problem: 'multi_label_classification', names: ['bad', 'good'], targets: [1, 0, 0, 1] });
  const trained: Labels = { names: ['bad', 'good'], problem: 'single_label_classification' };
  expect(() => labelsOfTrained(trained, trained, 'regression')).toThrow(
    /expected single_label_classification, for which it was trained, got "regression"/,
  );
});

test('whole numbers that are taken as names are told', () => {
  const warning = (names: readonly string[], problem: ProblemType = 'single_label_classification') =>
    wholeNumbersWarning({ names, problem });
  expect(warning(['1', '2', '10'])).toContain('taken as 3 names');
  expect(warning(['LABEL_0', 'LABEL_1', 'LABEL_2'])).toContain('taken as 3 names');
  expect([warning(['0', '1']), warning(['a', 'b', 'c']), warning(['LABEL_0'], 'regression')]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
});

test('a label of all rows is told, since nothing is learned', () => {
  const single: Labels = { names: ['good'], problem: 'single_label_classification' };
  expect(oneLabelWarning(single)).toContain('every row has the label good');
  expect(oneLabelWarning({ ...single, problem: 'multi_label_classification' })).toBe(undefined);
  expect(oneLabelWarning({ ...single, names: ['bad', 'good'] })).toBe(undefined);
});

test('a list that says of each label whether a row has it is an error, as are two labels for one', async () => {
  await expect(learned(['"labels": [0, 1]', '"labels": [0, 1, 1]'])).rejects.toThrow(
    /rows.jsonl, line 2: "labels": expected each label once, .* got \[0,1,1\]/,
  );
  const known: Labels = { names: ['bad', 'good'], problem: 'single_label_classification' };
  await expect(learned(['"labels": ["bad", "good"]'], known)).rejects.toThrow('expected one label, as the model gives');
  expect((await learned(['"labels": ["good"]'], known)).targets).toEqual([1]);
});

test('what is asked about has no label, whatever the row says', async () => {
  const rows = await recordsOf([
    { text: 'a film', label: 'noisy' },
    { text: 'a film', label: '' },
  ]);
  const read = readTaskRows(textClassification as unknown as Task, rows, true);
  expect(read.map((row) => (row as unknown as { label?: unknown }).label)).toEqual([undefined, undefined]);
});
