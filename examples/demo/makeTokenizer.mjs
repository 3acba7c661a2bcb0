/**
 * The base model's tokenizer: byte-level BPE trained on the stories, so that every text has an encoding.
 * A blank is part of the word after it, and one is put before the text: a name has the same token wherever it stands.
 * `node makeTokenizer.mjs [folder]` writes tokenizer.json and tokenizer_config.json.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeStories } from './text.mjs';

export const vocabularySize = 896;
const specials = ['<s>', '</s>'];
/** GPT-2's pre-tokenizer, which `ByteLevel` with `use_regex` is. */
const splitPattern = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** GPT-2's map from bytes to printable characters, which every byte-level tokenizer shares. */
function byteCharacters() {
  const printable = (b) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
  const out = [];
  let shift = 256;
  for (let b = 0; b < 256; b++) out.push(String.fromCharCode(printable(b) ? b : shift++));
  return out;
}

/**
 * @returns {[string, string][]} the merges, the most frequent pair first; ties go to the pair first in code-point order
 */
function learnMerges(texts, count) {
  const characters = byteCharacters();
  const frequency = new Map();
  for (const text of texts)
    for (const [word] of ` ${text}`.matchAll(splitPattern)) frequency.set(word, (frequency.get(word) ?? 0) + 1);
  const words = [...frequency].map(([word, n]) => ({ n, parts: [...Buffer.from(word)].map((b) => characters[b]) }));
  const merges = [];
  while (merges.length < count) {
    const pairs = new Map();
    for (const { n, parts } of words)
      for (let i = 0; i + 1 < parts.length; i++) {
        const pair = `${parts[i]} ${parts[i + 1]}`;
        pairs.set(pair, (pairs.get(pair) ?? 0) + n);
      }
    let best;
    for (const [pair, n] of pairs) if (!best || n > best.n || (n === best.n && pair < best.pair)) best = { pair, n };
    if (!best) break;
    const [left, right] = best.pair.split(' ');
    merges.push([left, right]);
    for (const word of words)
      for (let i = 0; i + 1 < word.parts.length; i++)
        if (word.parts[i] === left && word.parts[i + 1] === right) word.parts.splice(i, 2, left + right);
  }
  return merges;
}

/** @returns {{ tokenizer: object, config: object }} the contents of tokenizer.json and tokenizer_config.json */
export function makeTokenizer({ stories = makeStories(6_000), size = vocabularySize } = {}) {
  const alphabet = byteCharacters();
  const merges = learnMerges(stories, size - alphabet.length - specials.length);
  const tokens = [...specials, ...alphabet, ...merges.map((m) => m.join(''))];
  const special = (content, id) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  });
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specials.map(special),
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [
        { SpecialToken: { id: '<s>', type_id: 0 } },
        { Sequence: { id: 'A', type_id: 0 } },
        { Sequence: { id: 'B', type_id: 1 } },
      ],
      special_tokens: { '<s>': { id: '<s>', ids: [0], tokens: ['<s>'] } },
    },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
  const config = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    bos_token: '<s>',
    eos_token: '</s>',
    add_bos_token: true,
    clean_up_tokenization_spaces: false,
    model_max_length: 256,
  };
  return { tokenizer, config };
}

export function writeTokenizer(folder) {
  const { tokenizer, config } = makeTokenizer();
  writeFileSync(join(folder, 'tokenizer.json'), `${JSON.stringify(tokenizer)}\n`);
  writeFileSync(join(folder, 'tokenizer_config.json'), `${JSON.stringify(config, null, 2)}\n`);
  return Object.keys(tokenizer.model.vocab).length;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = process.argv[2] ?? fileURLToPath(new URL('base', import.meta.url));
  console.log(`${folder}: ${writeTokenizer(folder)} tokens`);
}
