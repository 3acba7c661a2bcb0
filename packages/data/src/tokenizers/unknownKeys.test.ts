import { expect, it } from 'vitest';
import { loadTokenizer } from '../tokenizer.js';
import { tinyJson } from '../testing.js';
import { tokenizerConfigKeys, tokenizerJsonKeys } from './keyTables.js';

it('a key that no table has brings a warning, wherever it is', () => {
  const json = {
    ...tinyJson,
    added_tokens: [{ ...tinyJson.added_tokens[0], colour: 1 }, ...tinyJson.added_tokens.slice(1)],
    model: { ...tinyJson.model, temper: 2 },
    normalizer: { type: 'Sequence', normalizers: [{ type: 'Lowercase', strength: 3 }] },
    weather: 4,
  };
  const { warnings } = loadTokenizer(
    json,
    { bos_token: '<s>', image_token: '<s>', mood: 5 },
    { specialTokensMap: { m: 6 } },
  );
  expect(warnings.map((text) => /"(.*)"/.exec(text)?.[1])).toEqual([
    'weather',
    'model.temper',
    'normalizer.0.strength',
    'added_tokens.0.colour',
    'mood',
    'm',
  ]);
});

it('listed keys bring none, and what is refused is refused by its name', () => {
  const quiet = Object.fromEntries(
    Object.entries(tokenizerConfigKeys).flatMap(([key, { use }]) => (use === 'refused' ? [] : [[key, null]])),
  );
  expect(loadTokenizer(tinyJson, { ...quiet, bos_token: '<s>', eos_token: '</s>' }).warnings).toEqual([]);
  expect(() => loadTokenizer(tinyJson, { fix_mistral_regex: true })).toThrow(/^fix_mistral_regex in tokenizer_config/);
  expect(() => loadTokenizer({ ...tinyJson, model: { ...tinyJson.model, dropout: 0.1 } })).toThrow(/dropout in model/);
  expect(loadTokenizer(tinyJson, { auto_map: { AutoTokenizer: ['x', null] } }).warnings[0]).toContain('auto_map');
});

it('another id than the one that is given is warned of', () => {
  const added_tokens_decoder = { 77: { content: '<far>', special: true } };
  const tokenizer = loadTokenizer(tinyJson, { added_tokens_decoder });
  expect(tokenizer.encode('<far>', { addSpecialTokens: false })).toEqual([10]);
  expect(tokenizer.warnings).toEqual(['The token "<far>" has the id 10, as in transformers; the files say 77.']);
});

it('every kind of part has its keys', () => {
  const kinds = Object.keys(tokenizerJsonKeys);
  for (const kind of ['model.BPE', 'normalizer.Precompiled', 'pre_tokenizer.Split', 'decoder.ByteLevel'])
    expect(kinds).toContain(kind);
});
