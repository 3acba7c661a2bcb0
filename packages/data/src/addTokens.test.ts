import { expect, test } from 'vitest';
import { addTokens } from './addTokens.js';
import { tinyJson } from './testing.js';

const folder = (files: Record<string, object>) => ({
  name: 'here',
  text: (name: string) => Promise.resolve(name in files ? JSON.stringify(files[name]) : undefined),
});

test('tokens come after all others, once, and are found within words', async () => {
  const { tokenizer, files } = await addTokens(folder({ 'tokenizer.json': tinyJson }), ['<new>', '<s>', '<new>', 'ÿ']);
  const [first, second] = [tokenizer.vocabularySize - 2, tokenizer.vocabularySize - 1];
  expect(tokenizer.warnings).toEqual([]);
  const ids = tokenizer.encode('a<new>ÿ', { addSpecialTokens: false });
  expect(ids.slice(-2)).toEqual([first, second]);
  expect(tokenizer.decode(ids)).toContain('<new>');
  const { added_tokens: added } = JSON.parse(files['tokenizer.json'] ?? '') as { added_tokens: object[] };
  expect(added.length).toBe(tinyJson.added_tokens.length + 2);
  expect(added.at(-1)).toEqual({
    id: second,
    content: 'ÿ',
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: true,
    special: false,
  });
});

test('every file that lists added tokens gets them', async () => {
  const config = { added_tokens_decoder: { 0: { content: '<unk>', special: true } }, eos_token: '</s>' };
  const { files, tokenizer } = await addTokens(
    folder({ 'tokenizer.json': tinyJson, 'tokenizer_config.json': config, 'added_tokens.json': { '<unk>': 0 } }),
    ['<new>'],
  );
  const id = tokenizer.encode('<new>', { addSpecialTokens: false }).at(-1) ?? -1;
  const parsed = (name: string): unknown => JSON.parse(files[name] ?? '');
  expect(parsed('tokenizer_config.json')).toMatchObject({ added_tokens_decoder: { [id]: { content: '<new>' } } });
  expect(parsed('added_tokens.json')).toEqual({ '<unk>': 0, '<new>': id });
});

test('an empty token is refused, and nothing new changes nothing', async () => {
  const place = folder({ 'tokenizer.json': tinyJson });
  await expect(addTokens(place, [''])).rejects.toThrow('the tokens to add');
  expect((await addTokens(place, ['<s>'])).files).toEqual({ 'tokenizer.json': JSON.stringify(tinyJson) });
});
