import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { csvFields } from './csvFields.js';

const golden = JSON.parse(
  readFileSync(new URL('../../../../parity/golden/data/csv.json', import.meta.url), 'utf8'),
) as { records: { text: string; fields: string[] }[] };

it.each(golden.records)('$text: as Python reads it', ({ text, fields }) => {
  expect(csvFields(text.replace(/\r?\n$/, ''), ',').map((field) => field ?? '')).toEqual(fields);
});

it('an empty field without quotes is null, one in quotes an empty text', () => {
  expect(csvFields(',"",x,', ',')).toEqual([null, '', 'x', null]);
  expect(csvFields('a\tb,c\t', '\t')).toEqual(['a', 'b,c', null]);
});
