/**
 * How a byte-level vocabulary splits text before its merges, by `tokenizer.ggml.pre` (llama-vocab.cpp; the expressions
 * as transformers writes them for GGUF files): a `pre_tokenizer` of tokenizer.json.
 */
export interface TextSplit {
  readonly preTokenizer: object;
  readonly normalizer: object | null;
  /** A word that is a token is taken whole. */
  readonly ignoreMerges: boolean;
  /** BOS goes before a text where the file does not say. */
  readonly addsBos: boolean;
}

const contraction = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const ends = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const llama3Words = `${contraction}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|${ends}`;
const qwen2Words = `${contraction}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|${ends}`;
const upper = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
const lower = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';
const casedWords = (suffix: string, digits: string): string =>
  `[^\\r\\n\\p{L}\\p{N}]?${upper}*${lower}+${suffix}|[^\\r\\n\\p{L}\\p{N}]?${upper}+${lower}*${suffix}|${digits}` +
  '| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

const bytes = (splits: boolean): object => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: splits,
});
const words = (expression: string): object => ({
  type: 'Sequence',
  pretokenizers: [{ type: 'Split', pattern: { Regex: expression }, behavior: 'Isolated', invert: false }, bytes(false)],
});
const plain = { normalizer: null, ignoreMerges: false, addsBos: false };
const gpt2: TextSplit = { ...plain, preTokenizer: bytes(true) };
/** GPT-2's words, each digit by itself. */
const digits: TextSplit = {
  ...plain,
  preTokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Digits', individual_digits: true }, bytes(true)] },
};
const llama3: TextSplit = { ...plain, preTokenizer: words(llama3Words), ignoreMerges: true, addsBos: true };
const qwen2: TextSplit = { ...plain, preTokenizer: words(qwen2Words), normalizer: { type: 'NFC' } };
const gpt4o: TextSplit = { ...plain, preTokenizer: words(casedWords(`${contraction}?`, '\\p{N}{1,3}')) };

const splits: Readonly<Record<string, TextSplit>> = {
  ...Object.fromEntries(['gpt-2', 'olmo', 'mpt', 'jais', 'trillion'].map((name) => [name, gpt2])),
  ...Object.fromEntries(
    ['smollm', 'starcoder', 'refact', 'command-r', 'codeshell', 'exaone', 'minerva-7b'].map((name) => [name, digits]),
  ),
  ...Object.fromEntries(
    ['llama3', 'llama-v3', 'llama-bpe', 'falcon3', 'falcon-h1', 'pixtral', 'midm-2.0', 'lfm2'].map((name) => [
      name,
      llama3,
    ]),
  ),
  ...Object.fromEntries(
    ['dbrx', 'smaug-bpe'].map((name) => [name, { ...llama3, ignoreMerges: false, addsBos: false }]),
  ),
  ...Object.fromEntries(['qwen2', 'deepseek-r1-qwen', 'kormo', 'megrez'].map((name) => [name, qwen2])),
  ...Object.fromEntries(['gpt-4o', 'llama4', 'kanana2'].map((name) => [name, gpt4o])),
  tekken: { ...plain, preTokenizer: words(casedWords('', '\\p{N}')), ignoreMerges: true },
};

/** A name's way of splitting; undefined for a name that is not known. */
export const splitOf = (name: string): TextSplit | undefined =>
  Object.hasOwn(splits, name) ? splits[name] : undefined;

export const splitNames = (): string[] => Object.keys(splits);
