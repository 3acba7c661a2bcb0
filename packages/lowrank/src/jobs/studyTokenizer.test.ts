import { join } from 'node:path';
import type { TextTokenizer } from '@lowrank/data';
import { readTokenizer } from '@lowrank/data';
import { expect, it } from 'vitest';
import { golden } from '../testing.js';
import { remembering, studyTokenizer } from './studyTokenizer.js';

it('encodes each text once, and gives out what may be changed', async () => {
  const tokenizer = await readTokenizer(join(golden, 'tied'));
  let calls = 0;
  const counted: TextTokenizer = { ...tokenizer, encode: (...request) => (calls++, tokenizer.encode(...request)) };
  const other = remembering(counted);
  for (const addSpecialTokens of [true, false, true]) {
    const ids = other.encode('name: ada', { addSpecialTokens });
    expect(ids).toEqual(tokenizer.encode('name: ada', { addSpecialTokens }));
    ids.pop();
  }
  expect(other.encode('name: ada')).toEqual(tokenizer.encode('name: ada'));
  expect(calls).toBe(2);
});

it('keeps the tokenizer of a folder', async () => {
  const first = await studyTokenizer(join(golden, 'tied'));
  expect(await studyTokenizer(join(golden, 'tied'))).toBe(first);
  expect(await studyTokenizer(join(golden, 'untied'))).not.toBe(first);
});
