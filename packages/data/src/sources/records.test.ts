import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { isLowrankError } from '@lowrank/errors';
import { afterAll, describe, expect, it } from 'vitest';
import { chatTemplate } from '../chatTemplate.js';
import { readDataset, readTextRows } from '../files.js';
import { goldenTokenizer } from '../testing/chatGolden.js';
import { complaint } from '../testing.js';

// Made by parity/dataFormats.py: Parquet by pyarrow, CSV by pandas.
const golden = fileURLToPath(new URL('../../../../parity/golden/data/', import.meta.url));
const tokenizer = goldenTokenizer('bytes');
const template = chatTemplate(
  '{% for m in messages %}<{{ m.role }}{% if m.tool_calls is defined %} {{ m.tool_calls | tojson }}{% endif %}>' +
    '{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}',
);

/** The ids and labels of a file's rows. */
async function learned(source: string | Blob | readonly object[]): Promise<number[][][]> {
  const { rows } = await readDataset(source, tokenizer, { chatTemplate: template });
  return rows.map(({ ids, labels }) => [[...ids], [...labels]]);
}

const kinds = ['rows.json', 'rows.jsonl.gz', 'rows.csv', 'rows.tsv', 'semicolons.csv'];
const codecs = ['none', 'snappy', 'gzip', 'zstd', 'brotli', 'lz4'];
const parquet = codecs.map((codec) => `rows-${codec}.parquet`);

describe('the same ids and labels as of the JSON lines', () => {
  it.each([...kinds, ...parquet])('%s, as a path and as a File', async (name) => {
    const want = await learned(`${golden}rows.jsonl`);
    expect(want).toHaveLength(7);
    expect(await learned(golden + name)).toEqual(want);
    expect(await learned(new File([readFileSync(golden + name)], name))).toEqual(want);
  });

  it('chats.parquet: keys that a struct is filled up with are none', async () => {
    expect(await learned(`${golden}chats.parquet`)).toEqual(await learned(`${golden}chats.jsonl`));
  });

  it('ShareGPT and Alpaca', async () => {
    const [first] = await learned(`${golden}chats.jsonl`);
    expect(await learned(`${golden}shareGpt.jsonl`)).toEqual([first]);
    const rows = await readTextRows(`${golden}alpaca.json`);
    expect(await learned(`${golden}alpaca.json`)).toEqual(await learned(rows));
    expect(rows).toMatchObject([{ completion: '3' }, { completion: 'hi' }]);
  });
});

const home = mkdtempSync(join(tmpdir(), 'lowrank-records-'));
afterAll(() => rmSync(home, { recursive: true, force: true }));

function written(name: string, content: string | Uint8Array): string {
  mkdirSync(join(home, name, '..'), { recursive: true });
  writeFileSync(join(home, name), content);
  return join(home, name);
}

it('text: a row per line, paragraph or file', async () => {
  const path = `${golden}lines.txt`;
  expect(await readTextRows(path)).toEqual([
    { line: 1, text: 'a line' },
    { line: 2, text: "  indented, and 'quoted'" },
    { line: 3, text: 'é 🙂' },
  ]);
  const text = written('two.txt', 'a\r\nb\r\n\r\nc\r\n');
  expect(await readTextRows(text, { sampleBy: 'paragraph' })).toMatchObject([{ text: 'a\nb' }, { text: 'c\n' }]);
  expect(await readTextRows(text, { sampleBy: 'document' })).toMatchObject([{ text: 'a\nb\n\nc\n' }]);
});

it('a folder: its train, validation and test, in shards too', async () => {
  const row = (text: string): string => `${JSON.stringify({ text })}\n`;
  written('mlx/train.jsonl', row('t'));
  written('mlx/valid.csv', 'text\nv\n');
  written('hub/data/train-00001-of-00002.jsonl', row('two'));
  written('hub/data/train-00000-of-00002.jsonl.gz', gzipSync(row('one')));
  written('hub/README.md', '');
  const texts = async (place: string, split?: 'validation' | 'test'): Promise<unknown[]> =>
    (await readTextRows(join(home, place), { split })).map((one) => ('text' in one ? one.text : one));
  expect(await texts('mlx')).toEqual(['t']);
  expect(await texts('mlx', 'validation')).toEqual(['v']);
  expect(await texts('hub')).toEqual(['one', 'two']);
  const { code, message } = await complaint(() => texts('mlx', 'test'));
  expect([code, message]).toEqual(['data.missing', expect.stringContaining('named test, testing, eval, evaluation')]);
});

describe('a file that is not what its name says, or breaks off', () => {
  const json = '{"text":"a"}\n';
  it.each<[string, string, string | Uint8Array, string]>([
    ['data.format', 'rows.csv', json, 'expected CSV, got JSON lines'],
    ['data.format', 'rows.parquet', json, 'expected Parquet, got JSON lines'],
    [
      'data.format',
      'rows.jsonl',
      readFileSync(`${golden}rows-none.parquet`),
      'expected JSON lines, got a Parquet file',
    ],
    ['data.format', 'array.jsonl', '[{"text":"a"}]', 'expected JSON lines, got one JSON array'],
    ['data.format', 'rows.txt', json, 'expected text, got JSON lines'],
    ['data.format', 'wide.jsonl', Uint8Array.of(0xff, 0xfe, 0x7b, 0), 'got UTF-16'],
    ['data.format', 'rows.zip', 'PK\u0003\u0004', 'got a ZIP archive'],
    ['data.json', 'cut.json', '[{"text":"a"},', 'a JSON array to its closing bracket'],
    ['data.csv', 'cut.csv', 'text\n"a', 'every quote to be closed'],
    ['data.csv', 'wide.csv', 'text\na\nb,c\n', 'wide.csv, line 3: expected 1 field, as the header has, got 2'],
    ['data.csv', 'twice.csv', 'text,text\na,b\n', '"text" twice'],
    ['data.rowForm', 'other.csv', 'a,b\n1,2\n', 'other.csv, line 2: expected an object'],
    ['data.unreadable', 'latin.jsonl', Uint8Array.of(0x7b, 0x22, 0xe9, 0x22, 0x7d), 'UTF-8'],
    ['data.unreadable', 'cut.jsonl.gz', gzipSync(json.repeat(100)).subarray(0, 20), 'a file of UTF-8 text'],
    ['data.unreadable', 'cut.parquet', readFileSync(`${golden}rows-none.parquet`).subarray(0, 900), 'a Parquet file'],
  ])('%s: %s', async (code, name, content, words) => {
    const path = written(name, content);
    const found = await complaint(() => readTextRows(path));
    expect([found.code, found.message]).toEqual([code, expect.stringContaining(words)]);
  });
});

it('a Parquet file with a byte of another value is read or refused, and leaves no error behind', async () => {
  const whole = new Uint8Array(readFileSync(`${golden}chats.parquet`));
  for (let at = 4; at < whole.length; at += 41)
    for (const value of [0, 0x19, 0xff]) {
      const changed = whole.slice();
      changed[at] = value;
      await readTextRows(new File([changed], 'chats.parquet')).catch((error: unknown) => {
        if (!isLowrankError(error)) throw error;
      });
    }
  // Errors that nobody waited for come later.
  await new Promise((resolve) => setTimeout(resolve, 20));
});
