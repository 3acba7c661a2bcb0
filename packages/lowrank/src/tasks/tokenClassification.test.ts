import { readTokenizer, recordsOf } from '@lowrank/data';
import { openFolder } from '@lowrank/models';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { asTextFiles } from '../front/modelSource.js';
import type { Labels } from './labels.js';
import { encodeTaskRows, readTaskRows } from './taskRows.js';
import type { Task, TaskUnit } from './task.js';
import { taskOfRow } from './tasks.js';
import { tokenClassification } from './tokenClassification.js';

const model = fileURLToPath(new URL('../../../../parity/golden/tasks/model', import.meta.url));
const task = tokenClassification as unknown as Task;
const labels: Labels = { names: ['O', 'B-🍕', 'I-東'], problem: 'single_label_classification' };

async function encoded(rows: readonly object[], isAsked = false): Promise<TaskUnit[]> {
  const tokenizer = await readTokenizer(asTextFiles(await openFolder(model)));
  const read = readTaskRows(task, await recordsOf(rows), isAsked);
  return encodeTaskRows(task, read, { tokenizer, labels, maxLength: 40, options: {} });
}

test('rows with ner_tags are known by their keys, as those with tags', () => {
  expect(taskOfRow({ tokens: ['a'], ner_tags: [0] })?.name).toBe('token-classification');
  expect(taskOfRow({ tokens: ['a'], tags: ['O'] })?.name).toBe('token-classification');
});

test('nothing is learned from a row without words', async () => {
  const units = await encoded([
    { tokens: [], tags: [] },
    { tokens: ['', ' '], tags: ['O', 'O'] },
    { tokens: ['pizza'], tags: ['B-🍕'] },
  ]);
  expect(units.map(({ row }) => row)).toEqual([2]);
});

test('tags are names or places; a strange one is an error with its line, unless the row is asked about', async () => {
  const columns = (units: readonly TaskUnit[]): unknown =>
    units.flatMap(({ documents }) => documents.map((each) => (each as unknown as { columns: unknown }).columns));
  expect(columns(await encoded([{ tokens: ['a', 'b', 'c'], tags: ['I-東', 'O', 1] }]))).toEqual([[2, 0, 1]]);
  const strange = [
    { tokens: ['a'], tags: ['O'] },
    { tokens: ['a', 'b'], tags: ['O', 'B-X'] },
  ];
  await expect(encoded(strange)).rejects.toThrow(/line 2: expected one of the labels O, B-🍕, I-東, got B-X/);
  expect(columns(await encoded([...strange, { tokens: ['a', 'b'], tags: ['O'] }], true))).toEqual(
    Array.from({ length: 3 }, () => undefined),
  );
});

test('a text that is asked about is cut at its spaces, also where it begins or ends with one', async () => {
  const [record] = await recordsOf([{ text: '  Call Ada\n now ' }]);
  if (record === undefined) throw new TypeError('no record');
  expect((task.read(record, { isAsked: true }) as unknown as { words: unknown }).words).toEqual(['Call', 'Ada', 'now']);
});
