import { LowrankError, shown } from '@lowrank/errors';
import type { Json } from '../json.js';
import { impliedMerges } from './merges.js';
import type { Metadata } from './metadata.js';
import type { TextSplit } from './splits.js';
import { splitNames, splitOf } from './splits.js';

/** A tokenizer's files in Hugging Face's form, and what was not followed. */
export interface BaseTokenizer {
  /** tokenizer.json */
  readonly tokenizer: Json;
  /** tokenizer_config.json */
  readonly config: Json;
  readonly warnings: readonly string[];
}

/** llama.cpp's types of tokens (llama.h). */
const [controlType, userType] = [3, 4];

const decoders = (strips: boolean): object => ({
  type: 'Sequence',
  decoders: [
    { type: 'Replace', pattern: { String: '\u2581' }, content: ' ' },
    { type: 'ByteFallback' },
    { type: 'Fuse' },
    ...(strips ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
  ],
});

/**
 * tokenizer.json and tokenizer_config.json of a model file's `tokenizer.ggml.*`: byte-level BPE (`gpt2`), which splits
 * text as `tokenizer.ggml.pre` says, or SentencePiece (`llama`), whose merges follow from its scores.
 *
 * @throws LowrankError `gguf.vocabulary`, `gguf.preTokenizer`, `gguf.metadata`
 */
export function baseTokenizer(metadata: Metadata): BaseTokenizer {
  const model = metadata.text('tokenizer.ggml.model');
  const given = metadata.optionalTexts('tokenizer.ggml.tokens');
  if (given === undefined || given.length === 0)
    return metadata.refuse('tokenizer.ggml.tokens', 'the tokens of a vocabulary', given);
  const isGemma = metadata.text('general.architecture').startsWith('gemma');
  const tokens = isGemma ? given.map((text) => (/^ {2,}$/.test(text) ? '\u2581'.repeat(text.length) : text)) : given;
  const types = metadata.optionalNumbers('tokenizer.ggml.token_type') ?? [];
  const added = tokens.flatMap((content, id) => {
    const type = types[id];
    if ((type !== controlType && type !== userType) || content !== given[id] || content === '') return [];
    const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false };
    return [{ id, content, ...flags, special: type === controlType }];
  });
  if (model === 'gpt2') return byteLevel(metadata, tokens, added);
  if (model !== 'llama')
    throw new LowrankError({
      code: 'gguf.vocabulary',
      what: `tokenizer.ggml.model in ${metadata.file}`,
      expected: 'gpt2 (byte-level BPE) or llama (SentencePiece)',
      got: shown(model),
      remedy: "Use the model's folder of Hugging Face.",
    });
  return sentencePiece(metadata, { tokens, added, isGemma });
}

interface AddedToken {
  readonly id: number;
  readonly content: string;
}

function byteLevel(metadata: Metadata, tokens: readonly string[], added: readonly AddedToken[]): BaseTokenizer {
  const key = 'tokenizer.ggml.pre';
  const name = metadata.optionalText(key);
  const split = splitOf(name ?? 'gpt-2');
  if (split === undefined)
    throw new LowrankError({
      code: 'gguf.preTokenizer',
      what: `${key} in ${metadata.file}, how its vocabulary splits text`,
      expected: `one of ${splitNames().join(', ')}`,
      got: shown(name),
      remedy: "Use the model's folder of Hugging Face.",
    });
  const warnings =
    name === undefined
      ? [`${metadata.file} does not say how its vocabulary splits text (${key}): as GPT-2's does`]
      : [];
  const letters = byteLetters();
  const alphabet = new Map(letters.map((letter, byte) => [letter, byte] as const));
  const isAdded = new Set(added.map(({ id }) => id));
  const vocab = Object.fromEntries(
    tokens.map((text, id) => [isAdded.has(id) ? text : spelled(text, alphabet, letters), id] as const),
  );
  const merges = metadata.optionalTexts('tokenizer.ggml.merges');
  if (merges === undefined) return metadata.refuse('tokenizer.ggml.merges', 'the merges of byte-level BPE', merges);
  return {
    tokenizer: {
      ...skeleton(metadata, { tokens, added, addsBos: split.addsBos }),
      normalizer: split.normalizer,
      pre_tokenizer: split.preTokenizer,
      decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: bpe({ vocab, merges: merges.map(pairOf) }, split),
    },
    config: tokenizerConfig(metadata, tokens),
    warnings,
  };
}

interface Pieces {
  readonly tokens: readonly string[];
  readonly added: readonly AddedToken[];
  readonly isGemma: boolean;
}

function sentencePiece(metadata: Metadata, { tokens, added, isGemma }: Pieces): BaseTokenizer {
  const key = 'tokenizer.ggml.scores';
  const scores = metadata.optionalNumbers(key);
  const merges = metadata.optionalTexts('tokenizer.ggml.merges');
  const vocabulary = new Map(tokens.map((text, id) => [text, id] as const));
  if (merges === undefined && scores?.length !== tokens.length)
    return metadata.refuse(key, `a score for each of ${tokens.length} tokens`, scores?.length);
  // Gemma's scores do not follow its merges; the order of its tokens does.
  const scoreOf = (id: number): number => (isGemma ? 0 - id : (scores?.[id] ?? NaN));
  const hasPrefix = metadata.optionalFlag('tokenizer.ggml.add_space_prefix') ?? !isGemma;
  const metaspace = { type: 'Metaspace', replacement: '\u2581', split: false };
  return {
    tokenizer: {
      ...skeleton(metadata, { tokens, added, addsBos: true }),
      normalizer: isGemma ? { type: 'Replace', pattern: { String: ' ' }, content: '\u2581' } : null,
      pre_tokenizer: isGemma
        ? { type: 'Split', pattern: { String: ' ' }, behavior: 'MergedWithPrevious', invert: false }
        : { ...metaspace, prepend_scheme: hasPrefix ? 'first' : 'never' },
      decoder: decoders(hasPrefix && !isGemma),
      model: {
        ...bpe({
          vocab: Object.fromEntries(vocabulary),
          merges: merges?.map(pairOf) ?? impliedMerges(vocabulary, scoreOf),
        }),
        fuse_unk: true,
        byte_fallback: true,
        unk_token: isGemma ? (tokens[metadata.number('tokenizer.ggml.unknown_token_id', 3)] ?? null) : null,
      },
    },
    config: tokenizerConfig(metadata, tokens),
    warnings: [],
  };
}

function bpe(
  { vocab, merges }: { readonly vocab: Json; readonly merges: readonly (readonly string[])[] },
  split?: TextSplit,
): Json {
  return {
    type: 'BPE',
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: split?.ignoreMerges ?? false,
    vocab,
    merges,
  };
}

/** A merge's two parts: the first space is between them. */
function pairOf(merge: string): readonly string[] {
  const at = merge.indexOf(' ', 1);
  return [merge.slice(0, at), merge.slice(at + 1)];
}

/** What goes around a text, and the added tokens. */
function skeleton(
  metadata: Metadata,
  { tokens, added, addsBos }: { tokens: readonly string[]; added: readonly AddedToken[]; addsBos: boolean },
): Json {
  const around = (name: 'bos' | 'eos', fallback: boolean): readonly (readonly [string, number])[] => {
    if (!(metadata.optionalFlag(`tokenizer.ggml.add_${name}_token`) ?? fallback)) return [];
    const id = metadata.optionalNumber(`tokenizer.ggml.${name}_token_id`);
    const text = id === undefined ? undefined : tokens[id];
    return id === undefined || text === undefined ? [] : [[text, id]];
  };
  const [before, after] = [around('bos', addsBos), around('eos', false)];
  const special = ([text]: readonly [string, number]): object => ({ SpecialToken: { id: text, type_id: 0 } });
  const sequence = (id: 'A' | 'B'): object => ({ Sequence: { id, type_id: id === 'A' ? 0 : 1 } });
  const single = [...before.map(special), sequence('A'), ...after.map(special)];
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    post_processor: {
      type: 'TemplateProcessing',
      single,
      pair: [...single, ...before.map(special), sequence('B'), ...after.map(special)],
      special_tokens: Object.fromEntries(
        [...before, ...after].map(([text, id]) => [text, { id: text, ids: [id], tokens: [text] }]),
      ),
    },
  };
}

function tokenizerConfig(metadata: Metadata, tokens: readonly string[]): Json {
  const names = { bos: 'bos_token', eos: 'eos_token', unknown: 'unk_token', padding: 'pad_token' };
  const named = Object.entries(names).flatMap(([name, key]) => {
    const id = metadata.optionalNumber(`tokenizer.ggml.${name}_token_id`);
    if (id === undefined) return [];
    const text = tokens[id];
    return text === undefined
      ? metadata.refuse(`tokenizer.ggml.${name}_token_id`, `an id below ${tokens.length}`, id)
      : [[key, text] as const];
  });
  // What goes around a text is the post-processor's; converting reads these keys.
  const adds = ['bos', 'eos'].flatMap((name) => {
    const flag = metadata.optionalFlag(`tokenizer.ggml.add_${name}_token`);
    return flag === undefined ? [] : [[`add_${name}_token`, flag] as const];
  });
  return { ...Object.fromEntries([...named, ...adds]), tokenizer_class: 'PreTrainedTokenizerFast' };
}

/** A token in the byte-level alphabet; what is in it already stays. */
function spelled(text: string, letters: ReadonlyMap<string, number>, byByte: readonly string[]): string {
  if (Array.from(text).every((letter) => letters.has(letter))) return text;
  return Array.from(new TextEncoder().encode(text), (byte) => byByte[byte] ?? '').join('');
}

/** GPT-2's letters for the 256 bytes, by byte (`bytes_to_unicode`). */
function byteLetters(): readonly string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const shows = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    return String.fromCharCode(shows ? byte : next++);
  });
}
