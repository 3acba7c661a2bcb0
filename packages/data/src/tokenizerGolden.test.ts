import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { loadTokenizer } from './tokenizer.js';
import type { TextTokenizer } from './tokenizer.js';
import { textStream } from './tokenizerStream.js';

interface Answer {
  text: string;
  ids: number[];
  bare: number[];
  decoded: string;
  decodedWithSpecial: string;
}

const home = fileURLToPath(new URL('../../../parity/golden/tokenizers/', import.meta.url));
const read = <T>(path: string): T => JSON.parse(readFileSync(home + path, 'utf8')) as T;
const golden = read<{
  kinds: Record<string, Answer[]>;
  flags: {
    processor: string;
    config: { add_bos_token?: boolean };
    text: string;
    ids: number[];
    bos: number;
    eos: number;
  }[];
}>('answers.json');
const open = (kind: string, config: object = {}, json: object = {}): TextTokenizer =>
  loadTokenizer(
    { ...read<object>(`${kind}/tokenizer.json`), ...json },
    { ...read<object>(`${kind}/tokenizer_config.json`), ...config },
  );

describe.each(Object.entries(golden.kinds))('%s: ids and texts are those of transformers', (kind, answers) => {
  const tokenizer = open(kind);

  it.each(answers.map((answer) => [JSON.stringify(answer.text), answer] as const))(
    '%s',
    (_, { text, ids, bare, decoded, decodedWithSpecial }) => {
      expect(tokenizer.encode(text)).toEqual(ids);
      expect(tokenizer.encode(text, { addSpecialTokens: false })).toEqual(bare);
      expect(tokenizer.decode(ids)).toBe(decoded);
      expect(tokenizer.decode(ids, { skipSpecialTokens: false })).toBe(decodedWithSpecial);
    },
  );

  it('decoded token by token, a text is the same, and no piece shows half a character', () => {
    for (const { bare } of answers) {
      const half = Math.floor(bare.length / 2);
      for (const start of [0, half]) {
        const stream = textStream(tokenizer, bare.slice(0, start));
        const pieces = bare.slice(start).map((id) => stream.push(id));
        for (const piece of pieces) expect(piece).not.toMatch(/\ufffd|[\ud800-\udbff]$|^[\udc00-\udfff]/);
        // Where the prompt ends within a character, the first piece has all of it.
        let whole = start;
        while (whole > start - 4 && tokenizer.decode(bare.slice(0, whole)).endsWith('\ufffd')) whole--;
        const before = tokenizer.decode(bare.slice(0, Math.max(0, whole)));
        expect(before + pieces.join('') + stream.end()).toBe(tokenizer.decode(bare));
      }
    }
  });
});

it.each(golden.flags)(
  'BOS and EOS: post-processor $processor, $config',
  ({ processor, config, text, ids, bos, eos }) => {
    const tokenizer = open('bytes', config, processor === 'none' ? { post_processor: null } : {});
    expect(tokenizer).toMatchObject({ bosId: bos, eosId: eos });
    expect(tokenizer.encode(text)).toEqual(ids);
  },
);

describe('places of tokens', () => {
  it.each(['bytes', 'pieces'])('%s: the pieces of a text, in order, and all of it', (kind) => {
    const tokenizer = open(kind);
    for (const { text } of golden.kinds[kind] ?? []) {
      // SentencePiece's own mark for a blank cannot be told from a blank.
      if (text.includes('▁')) continue;
      const { ids, spans } = tokenizer.encodeWithSpans(text);
      expect(ids).toEqual(tokenizer.encode(text, { addSpecialTokens: false }));
      let end = 0;
      spans.forEach((span) => {
        expect(span.start).toBeLessThanOrEqual(end);
        expect(span.end).toBeGreaterThanOrEqual(span.start);
        end = Math.max(end, span.end);
      });
      expect(end).toBe(text.length);
    }
  });

  it('tokens of a part of a character have all of it, added tokens the blanks that they swallow', () => {
    const bytes = open('bytes').encodeWithSpans('a👩b');
    expect(bytes.spans).toEqual([
      { start: 0, end: 1 },
      ...Array.from({ length: bytes.ids.length - 2 }, () => ({ start: 1, end: 3 })),
      { start: 3, end: 4 },
    ]);
    const { ids, spans } = open('pieces').encodeWithSpans('<|user|>\n\nx<|im_end|> y');
    const tokenizer = open('pieces');
    expect(ids.map((id, at) => [tokenizer.tokenOf(id), spans[at]?.start, spans[at]?.end])).toEqual([
      ['<|user|>', 0, 10],
      ['▁x', 10, 11],
      ['<|im_end|>', 11, 21],
      ['▁', 21, 22],
      ['▁', 21, 22],
      ['y', 22, 23],
    ]);
  });

  it('a tokenizer that changes its text tells places in the text as it was', () => {
    const { ids, spans } = open('unigram').encodeWithSpans('hello ① you');
    expect(ids.length).toBe(spans.length);
    expect(spans.at(-1)?.end).toBe(11);
  });
});
