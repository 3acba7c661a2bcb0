import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { chatTemplate } from '../chatTemplate.js';
import { ignored } from '../encodeRow.js';
import { readTokenizer } from '../files.js';
import { readObjects } from '../readRows.js';
import type { TextRow } from '../textRow.js';
import type { TextTokenizer } from '../tokenizer.js';
import type { EncodePreferencesOptions } from './encodePreferences.js';
import { encodePreferences } from './encodePreferences.js';

const folder = fileURLToPath(new URL('../../../../parity/golden/', import.meta.url));
const tokenizer: TextTokenizer = await readTokenizer(`${folder}llama/untied`);

interface Side {
  readonly ids: readonly number[];
  readonly labels: readonly number[];
}

interface Encoded {
  readonly rows: readonly object[];
  readonly maxLength: number | null;
  readonly encoded: readonly { readonly line: number; readonly chosen: Side; readonly rejected: Side }[];
}

const {
  template,
  madeBy: _,
  ...golden
} = JSON.parse(readFileSync(`${folder}preferences/rows.json`, 'utf8')) as Record<string, Encoded> & {
  readonly template: string;
  readonly madeBy: object;
};

const rowsOf = (values: readonly object[], reading: { readonly kind: 'preference' | 'kto' }): TextRow[] =>
  readObjects(values, reading).rows;

const options = (given: Partial<EncodePreferencesOptions> = {}): EncodePreferencesOptions => ({
  kind: 'preference',
  groupSize: 1,
  chatTemplate: chatTemplate(template, { specialTokens: tokenizer.specialTokens }),
  ...given,
});

test.each(Object.keys(golden))('%s are encoded as by DPOTrainer', (name) => {
  const { rows, maxLength, encoded } = golden[name] ?? { rows: [], maxLength: null, encoded: [] };
  const given = rowsOf(rows, { kind: 'preference' });
  const dataset = encodePreferences(given, tokenizer, options({ maxLength: maxLength ?? undefined }));
  const got = dataset.groups.flat().map(({ line, documents: [chosen, rejected] }) => ({ line, chosen, rejected }));
  expect(got.map(({ line }) => line)).toEqual(encoded.map(({ line }) => line));
  for (const [at, want] of encoded.entries())
    for (const side of ['chosen', 'rejected'] as const) {
      expect([...(got[at]?.[side].ids ?? [])]).toEqual(want[side].ids);
      expect([...(got[at]?.[side].labels ?? [])]).toEqual(want[side].labels);
      const asked = want[side].labels.slice(1).filter((label) => label !== ignored).length;
      expect(got[at]?.[side].labelTokens).toBe(asked);
    }
  const kept = encoded.map(({ line }) => line);
  expect(dataset.droppedLines).toEqual(rows.map((__, at) => at + 1).filter((line) => !kept.includes(line)));
});

test('judged rows have the completions of their pairs, and pairs come apart', () => {
  const pairs = [
    { prompt: 'name: ada |', chosen: ' town: rome', rejected: ' town: oslo.' },
    { prompt: 'name: gus |', chosen: ' town: bath', rejected: ' no' },
  ];
  const asPairs = encodePreferences(rowsOf(pairs, { kind: 'preference' }), tokenizer, options());
  const sides = asPairs.groups.flat().map(({ documents }) => documents);
  const want = [sides[0]?.[0], sides[1]?.[0], sides[0]?.[1], sides[1]?.[1]].map((row) => [...(row?.ids ?? [])]);
  const judge = options({ kind: 'kto', groupSize: 4, shuffle: false });
  const apart = encodePreferences(rowsOf(pairs, { kind: 'kto' }), tokenizer, judge).groups.flat();
  expect(apart.map(({ documents: [own] }) => [...own.ids])).toEqual(want);
  expect(apart.map(({ isGood }) => isGood)).toEqual([true, true, false, false]);
  const judged = [0, 1].flatMap((at) =>
    (['chosen', 'rejected'] as const).map((side) => ({
      prompt: pairs[at]?.prompt,
      completion: pairs[at]?.[side],
      label: side === 'chosen',
    })),
  );
  const rows = encodePreferences(rowsOf(judged, { kind: 'kto' }), tokenizer, judge).groups.flat();
  expect(rows.map(({ documents: [own] }) => [...own.ids])).toEqual([want[0], want[2], want[1], want[3]]);
});

test('nothing left is an error, and so is a token that the model does not have', () => {
  const rows = rowsOf([{ prompt: 'name: ada |', chosen: ' town', rejected: ' no' }], { kind: 'preference' });
  expect(() => encodePreferences(rows, tokenizer, options({ maxLength: 3 }))).toThrow('the prompts alone are longer');
  expect(() => encodePreferences(rows, tokenizer, options({ vocabularySize: 40 }))).toThrow('vocabulary of 40');
});
