import { readTokenizer, recordsOf } from '@lowrank/data';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { asTextFiles } from '../front/modelSource.js';
import { openFolder } from '@lowrank/models';
import { questionAnswering } from './questionAnswering.js';

const model = fileURLToPath(new URL('../../../../parity/golden/tasks/model', import.meta.url));
const context = '😀 The Vaults is a pub by the river. 東京 is not.';

type Row = ReturnType<typeof questionAnswering.read>;

async function read(...rows: readonly object[]): Promise<Row[]> {
  const records = await recordsOf(rows.map((row) => ({ question: 'Where is it?', context, ...row })));
  return records.map((record) => questionAnswering.read(record, { isAsked: false })) as Row[];
}

/** What rows answer, as parts of the context. */
async function answersOf(...rows: readonly object[]): Promise<(readonly string[] | undefined)[]> {
  return (await read(...rows)).map((row) => {
    const { answers } = row as unknown as { answers?: readonly { text: string; start: number }[] };
    return answers?.map(({ text, start }) => context.slice(start, start + text.length));
  });
}

test('an answer begins at a character: code points as Python counts them, or the units of JavaScript', async () => {
  const python = Array.from(context).indexOf('東');
  const units = context.indexOf('東京');
  expect(units).toBe(python + 1);
  const answers = await answersOf(
    { answer_start: python, answer_text: '東京' },
    { answer_start: units, answer_text: '東京' },
    { answers: { text: ['The Vaults', '東京'], answer_start: [2, python] } },
    { answers: [{ text: 'by the river', answer_start: context.indexOf('by') - 1 }] },
    { answers: { text: '東京', answer_start: python } },
  );
  expect(answers).toEqual([['東京'], ['東京'], ['The Vaults', '東京'], ['by the river'], ['東京']]);
});

test('an empty text, and an empty list, are no answer', async () => {
  const none = [{ answer_start: 0, answer_text: '' }, { answer_start: -1, answer_text: '' }, { answers: [] }];
  expect(await answersOf(...none, { answers: { text: [], answer_start: [] } })).toEqual([[], [], [], []]);
});

test('what is no answer, and what does not stand where it says, is an error', async () => {
  const refused = [
    [{ answer_start: 5, answer_text: 'The Vaults' }, '"answer_start": expected where the context says "The Vaults"'],
    [{ answer_start: -context.length, answer_text: '😀' }, '"answer_start": expected where the context says "😀"'],
    [{ answer_text: 'The Vaults' }, '"answer_start": expected the character that the answer begins at'],
    [{ answer_start: '2', answer_text: 'The Vaults' }, '"answer_start": expected the character'],
    [{ answers: [{ text: 'The Vaults' }] }, '"answer_start": expected the character'],
    [{ answers: { text: ['The Vaults'], answer_start: [] } }, '"answers": expected [{"text", "answer_start"}]'],
    [{ answers: 'The Vaults' }, '"answers": expected'],
    [{}, '"answer_start": expected "answer_start" and "answer_text", or "answers"'],
  ] as const;
  for (const [row, said] of refused) await expect(answersOf(row)).rejects.toThrow(said);
});

test('cells of a CSV file are numbers where they stand for numbers, and no answer where they are empty', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'answers-'));
  try {
    const file = join(folder, 'rows.csv');
    await writeFile(file, 'question,context,answer_start,answer_text\nWhere?,The Vaults is,4,Vaults\nWhy?,It is,,\n');
    const rows = (await recordsOf(file)).map((record) => questionAnswering.read(record, { isAsked: false }));
    expect(rows.map((row) => (row as unknown as { answers: unknown }).answers)).toEqual([
      [{ text: 'Vaults', start: 4 }],
      [],
    ]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('an answer is said in code points, as rows say it', async () => {
  const [row] = await read({ answers: [] });
  const document = { ids: [1, 2], types: [0, 0], fullLength: 2, inside: [1, 2] as const, answer: undefined };
  const at = context.indexOf('東京');
  const output = { document: { ...document, spans: [{ start: at, end: at + 2 }] }, values: new Float32Array(4) };
  const said = questionAnswering.predict(row as Row, [output], { options: {} } as never);
  expect(said).toEqual({ answer: '東京', start: at - 1, score: 1 });
});

test('no answer is said where it is likelier than any span in every part, if there may be none', async () => {
  const [row, other] = (await read({ answers: [] }, { answer_start: 2, answer_text: 'The Vaults' })) as [Row, Row];
  expect(questionAnswering.optionsOf?.([row, other])).toEqual({ impossibleAnswers: true });
  expect(questionAnswering.optionsOf?.([other])).toEqual({ impossibleAnswers: false });
  const document = { ids: [1, 2], types: [0, 0], fullLength: 2, inside: [1, 2] as const, answer: undefined };
  const part = (none: number, span: number, start: number) => ({
    document: { ...document, spans: [{ start, end: start + 3 }] },
    values: Float32Array.of(none, none, span, span),
  });
  const answerOf = (impossibleAnswers: boolean | undefined, ...parts: readonly ReturnType<typeof part>[]): unknown =>
    questionAnswering.predict(row, parts, { options: { impossibleAnswers } } as never)['answer'];
  const parts = [part(3, 1, 3), part(2, 1.5, 7)];
  expect([answerOf(undefined, ...parts), answerOf(true, ...parts)]).toEqual(['Vau', '']);
  // A part that finds it rules out that there is none.
  expect(answerOf(true, part(9, 1, 3), part(-1, 2, 7))).toBe('Vau');
  const [first, ...more] = questionAnswering.predict(row, parts, {
    options: { impossibleAnswers: true, nBest: 3 },
  } as never)['answers'] as { score: number }[];
  const weights = [4, 3, 2].map(Math.exp);
  expect(first?.score).toBeCloseTo((weights[0] ?? NaN) / weights.reduce((sum, weight) => sum + weight), 6);
  expect(more).toHaveLength(2);
});

test('parts of a long context have half of their room in common, unless told otherwise', async () => {
  const tokenizer = await readTokenizer(asTextFiles(await openFolder(model)));
  const long = `${'river '.repeat(100)}`;
  const [row] = (await recordsOf([{ question: 'Where?', context: long, answers: [] }])).map((record) =>
    questionAnswering.read(record, { isAsked: false }),
  );
  const tokens = tokenizer.encodeWithSpans(long).ids.length;
  const room =
    40 - tokenizer.assemble([], []).ids.length - tokenizer.encode('Where?', { addSpecialTokens: false }).length;
  const partsWith = (docStride?: number): number =>
    questionAnswering.encode(row as Row, { tokenizer, maxLength: 40, options: { docStride } } as never).length;
  const wanted = (stride: number): number => Math.ceil((tokens - room) / (room - stride)) + 1;
  expect([partsWith(), partsWith(0), partsWith(4)]).toEqual([room >> 1, 0, 4].map(wanted));
});
