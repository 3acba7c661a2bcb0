import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readDataset, readTokenizer } from './files.js';
import { complaint, tinyJson } from './testing.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lowrank-'));
});
afterAll(() => rm(folder, { recursive: true }));

it('reads a tokenizer with what lies beside it, then a data set', async () => {
  expect((await complaint(() => readTokenizer(folder))).code).toBe('data.missing');
  await writeFile(
    join(folder, 'tokenizer.json'),
    JSON.stringify({ ...tinyJson, added_tokens: tinyJson.added_tokens.slice(0, 1) }),
  );
  expect((await readTokenizer(folder)).eosId).toBeUndefined();
  await writeFile(join(folder, 'config.json'), '{"eos_token_id":[5,6]}');
  expect((await readTokenizer(folder)).eosId).toBe(5);
  await writeFile(join(folder, 'tokenizer_config.json'), '{"eos_token":{"content":"d"}}');
  const tokenizer = await readTokenizer(`${folder}/`);
  expect(tokenizer.eosId).toBe(6);

  const path = join(folder, 'train.jsonl');
  await writeFile(path, `{"text":"${'ab\\n'.repeat(100)}","note":"${'é'.repeat(1_000_000)}"}\n{"text":"c"}`);
  const data = await readDataset(path, tokenizer, { maxLength: 100 });
  expect(data.name).toBe(path);
  expect(data.rows.map((row) => row.ids.length)).toEqual([100, 3]);

  await writeFile(path, '{"text":"a"}\nnothing');
  expect((await complaint(() => readDataset(path, tokenizer))).message).toContain(`${path}, line 2`);
  await writeFile(path, new Uint8Array([0x22, 0xff, 0x22]));
  expect((await complaint(() => readDataset(path, tokenizer))).code).toBe('data.unreadable');
  expect((await complaint(() => readDataset(join(folder, 'none'), tokenizer))).code).toBe('data.missing');
  await writeFile(join(folder, 'config.json'), '[]');
  expect((await complaint(() => readTokenizer(folder))).code).toBe('data.json');
});
