import { recordsOf } from '@lowrank/data';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Labels } from './labels.js';
import { readTaskRows } from './taskRows.js';
import type { Task } from './task.js';
import { textClassification } from './textClassification.js';

/** Labels as a file of JSON lines writes them: what they are taken for, and the columns of the targets. */
async function learned(
  written: readonly string[],
  known?: Labels,
): Promise<{ problem: string; names: readonly string[]; targets: number[] }> {
  const folder = await mkdtemp(join(tmpdir(), 'labels-'));
  try {
    const file = join(folder, 'rows.jsonl');
    await writeFile(file, written.map((label) => `{"text": "a film", ${label}}`).join('\n'));
    const rows = readTaskRows(textClassification as unknown as Task, await recordsOf(file));
    const labels =
      known ?? textClassification.labels(rows as unknown as Parameters<typeof textClassification.labels>[0], undefined);
    const placed = rows.map((row) => {
      const { label } = row as unknown as { label: number };
      return { document: { ids: [], types: [], fullLength: 0, label }, start: 0 };
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
  await expect(learned(['"label": 0.5', '"label": "good"'])).rejects.toThrow('a row: expected a number, got "good"');
  await expect(learned(['"labels": [0.5, 1.5]', '"label": 1.5'])).rejects.toThrow('expected 2 numbers, got 1.5');
  const known: Labels = { names: ['LABEL_0'], problem: 'regression' };
  await expect(learned(['"labels": [0.5, 1.5]', '"label": 1.5'], known)).rejects.toThrow('a number, got 0.5, 1.5');
});
