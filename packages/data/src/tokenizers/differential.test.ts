import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { TokenizerPipeline } from './pipeline.js';

interface Row {
  text: string;
  ids: number[];
  dressed: number[];
  /** In code points. */
  offsets: [number, number][];
  decoded: string;
  whole: string;
  error?: string;
}

const path =
  process.env['LOWRANK_TOKENIZER_CASES'] ??
  fileURLToPath(new URL('../../../../parity/golden/text/tokenizers.json', import.meta.url));
const { cases } = JSON.parse(readFileSync(path, 'utf8')) as { cases: { tokenizer: object; rows: Row[] }[] };

describe('random tokenizers: ids, places and texts are those of the Rust library (parity/textTokenizers.py)', () => {
  it.each(cases.map((each, at) => [at, each] as const))('%d', (_, { tokenizer, rows }) => {
    const pipeline = new TokenizerPipeline({ ...tokenizer });
    for (const row of rows) {
      if (row.error !== undefined) {
        expect(() => pipeline.encode(row.text)).toThrow(/expected/);
        continue;
      }
      expect([row.text, pipeline.encode(row.text)]).toEqual([row.text, row.ids]);
      const { ids, spans } = pipeline.encodeWithSpans(row.text);
      expect(ids).toEqual(row.ids);
      expect([row.text, pipeline.decode(row.ids, true)]).toEqual([row.text, row.decoded]);
      expect([row.text, pipeline.decode(row.ids, false)]).toEqual([row.text, row.whole]);
      expect([...pipeline.post.before, ...row.ids, ...pipeline.post.after]).toEqual(row.dressed);
      const places = codePoints(row.text);
      if (!changesText(tokenizer))
        expect([row.text, spans.map(({ start, end }) => [places[start], places[end]])]).toEqual([
          row.text,
          row.offsets,
        ]);
    }
  });
});

/**
 * Where a normalizer joins and splits characters, spans are those of the characters together: wider, never elsewhere.
 */
function changesText(tokenizer: object): boolean {
  return /"(NF[A-Z]*|BertNormalizer)"/.test(JSON.stringify('normalizer' in tokenizer ? tokenizer.normalizer : null));
}

/** For each UTF-16 unit, how many code points are before it. */
function codePoints(text: string): number[] {
  const counts: number[] = [];
  let count = 0;
  for (const letter of text) {
    for (let unit = 0; unit < letter.length; unit++) counts.push(count);
    count++;
  }
  counts.push(count);
  return counts;
}
