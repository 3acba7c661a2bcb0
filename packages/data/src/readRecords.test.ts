import { expect, test } from 'vitest';
import { readRecords } from './readRecords.js';

test('records of JSON lines and of CSV, as they stand in the file, as many as are wanted', async () => {
  const lines = new File(['{"prompt":"a","n":1}\n{"prompt":"b"}\n{"prompt":"c"}'], 'rows.jsonl');
  expect(await readRecords(lines, 2)).toEqual({ records: [{ prompt: 'a', n: 1 }, { prompt: 'b' }], more: true });
  expect(await readRecords(lines, 3)).toMatchObject({ more: false });
  const table = new File(['prompt,completion\n"one, two",x\n'], 'rows.csv');
  expect(await readRecords(table)).toEqual({ records: [{ prompt: 'one, two', completion: 'x' }], more: false });
});

test('what is no object is named by its line', async () => {
  await expect(readRecords(new File(['{"a":1}\n{"a":'], 'rows.jsonl'))).rejects.toThrow(/rows\.jsonl, line 2/);
  await expect(readRecords(new File(['{"a":1}\n[1]'], 'rows.jsonl'))).rejects.toMatchObject({ code: 'data.json' });
});
