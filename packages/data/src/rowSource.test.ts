import { createServer } from 'node:http';
import { expect, it } from 'vitest';
import { readTextRows } from './files.js';
import { complaint } from './testing.js';

const lines = '{"prompt":"a","completion":"b"}\n{"text":"é"}\n';
const rows = [
  { line: 1, prompt: 'a', completion: 'b' },
  { line: 2, text: 'é' },
];

it('rows come alike from objects, a File, pieces of text and an address', async () => {
  expect(await readTextRows([{ prompt: 'a', completion: 'b' }, { text: 'é' }])).toEqual(rows);
  expect(await readTextRows(new File([lines], 'rows.jsonl'))).toEqual(rows);
  async function* pieces(): AsyncGenerator<string> {
    yield* [lines.slice(0, 10), lines.slice(10)];
  }
  expect(await readTextRows(pieces())).toEqual(rows);
  const server = createServer((request, response) => {
    response.statusCode = request.url === '/rows.jsonl' ? 200 : 404;
    response.end(lines);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const place = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  expect(await readTextRows(`${place}/rows.jsonl`)).toEqual(rows);
  expect(await complaint(() => readTextRows(`${place}/none.jsonl`))).toMatchObject({ code: 'data.missing' });
  server.close();
});

it('a bad row is named by its place', async () => {
  const error = await complaint(() => readTextRows([{ text: 'a' }, { words: 'b' }]));
  expect(error.message).toContain('data, line 2');
  expect((await complaint(() => readTextRows([]))).code).toBe('data.empty');
  expect((await complaint(() => readTextRows(new File(['{'], 'mine.jsonl')))).message).toContain('mine.jsonl, line 1');
});
