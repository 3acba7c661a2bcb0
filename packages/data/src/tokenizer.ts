import { Tokenizer } from '@huggingface/tokenizers';
import { LowrankError } from '@lowrank/errors';
import type { TextSpan } from './tokenizerSpans.js';
import { spansOf, spellingOf } from './tokenizerSpans.js';

/** Text to token ids and back, with what training must know of the special tokens. */
export interface TextTokenizer {
  /** Ids of the text. With `addSpecialTokens` (the default) what the tokenizer itself puts around it, such as BOS. */
  encode(text: string, options?: { readonly addSpecialTokens?: boolean }): number[];
  /** Text of the ids; special tokens are left out unless `skipSpecialTokens` is false. */
  decode(ids: ArrayLike<number>, options?: { readonly skipSpecialTokens?: boolean }): string;
  /**
   * Ids of the text alone, and the part of the text that each came from.
   *
   * @throws LowrankError `data.spans` where the tokenizer changes the text, so that places cannot be told
   */
  encodeWithSpans(text: string): { readonly ids: number[]; readonly spans: TextSpan[] };
  /** The token's own text, with the tokenizer's marks for spaces and bytes; undefined beyond the vocabulary. */
  tokenOf(id: number): string | undefined;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  /** True where `encode` puts BOS before the text. */
  readonly addsBos: boolean;
  /**
   * What chat templates call `bos_token`, `eos_token`, `unk_token`, `pad_token` and so on, as far as
   * tokenizer_config.json names them.
   */
  readonly specialTokens: Readonly<Record<string, string>>;
  /** The largest id plus one. A model's embedding may have more rows, for padding, never fewer. */
  readonly vocabularySize: number;
}

export interface TokenizerOptions {
  /** What errors call it; `tokenizer.json` by default. */
  readonly name?: string;
  /** `bos_token_id` and `eos_token_id` of the model's config.json, for tokenizers that do not name theirs. */
  readonly modelIds?: {
    readonly bos?: number | readonly number[] | null;
    readonly eos?: number | readonly number[] | null;
  };
}

const namedTokens = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'];

type Json = Readonly<Record<string, unknown>>;

/**
 * What a tokenizer calls these tokens where neither its config nor the model's names them; only special tokens are
 * looked at.
 */
const usualNames = {
  bos: ['<s>', '<|begin_of_text|>', '<bos>', '<|startoftext|>'],
  eos: ['</s>', '<|end_of_text|>', '<eos>', '<|endoftext|>'],
};

/**
 * A tokenizer from the parsed `tokenizer.json` and `tokenizer_config.json` of a Hugging Face folder, run by
 * `@huggingface/tokenizers`.
 *
 * BOS and EOS: the config's `bos_token`/`eos_token` (a string, or an object with `content`), else the model's ids, else
 * a special token with a usual name. Whether BOS is added is told by the post-processor alone, as in transformers 5;
 * only where tokenizer.json has no post-processor does `add_bos_token` of the config count.
 *
 * @throws LowrankError `data.tokenizer`: no tokenizer, or parts that the library does not know
 */
export function loadTokenizer(
  tokenizerJson: object,
  tokenizerConfig: object = {},
  options: TokenizerOptions = {},
): TextTokenizer {
  const name = options.name ?? 'tokenizer.json';
  const config = tokenizerConfig as Json;
  const json = checkedJson(tokenizerJson as Json, name);
  const special = specialTokens(json);
  const configured = { bos: contentOf(config['bos_token']), eos: contentOf(config['eos_token']) };
  if (json['post_processor'] === null && config['add_bos_token'] === true && configured.bos !== undefined) {
    json['post_processor'] = bosTemplate(configured.bos);
  }
  const library = build(json, config, name);

  const find = (kind: 'bos' | 'eos'): number | undefined => {
    const named = configured[kind] === undefined ? undefined : library.token_to_id(configured[kind]);
    const usual = usualNames[kind].find((token) => special.has(token));
    return named ?? firstId(options.modelIds?.[kind]) ?? (usual === undefined ? undefined : special.get(usual));
  };
  const encode = (text: string, addSpecialTokens: boolean): number[] =>
    idsOf(library, { text, addSpecialTokens, name });
  const prefix = prefixOf(encode, name);
  const bosId = find('bos') ?? prefix;
  const spelling = spellingOf(json, (id) => library.id_to_token(id));
  let vocabularySize = 0;
  for (const id of library.get_vocab().values()) vocabularySize = Math.max(vocabularySize, id + 1);

  return {
    encode: (text, { addSpecialTokens = true } = {}) => encode(text, addSpecialTokens),
    decode: (ids, { skipSpecialTokens = true } = {}) =>
      ids.length === 0 ? '' : library.decode(Array.from(ids), { skip_special_tokens: skipSpecialTokens }),
    encodeWithSpans(text) {
      const ids = encode(text, false);
      return { ids, spans: spansOf(text, ids, spelling) };
    },
    tokenOf: (id) => library.id_to_token(id),
    bosId,
    eosId: find('eos'),
    addsBos: prefix !== undefined && prefix === bosId,
    specialTokens: specialTokensOf(config),
    vocabularySize,
  };
}

/** A shallow copy with every section that the library insists on; absent sections mean null. */
function checkedJson(json: Json, name: string): Record<string, unknown> {
  const model = json['model'];
  if (typeof model !== 'object' || model === null || !('vocab' in model)) {
    throw unusable(name, 'a tokenizer.json with a model and its vocabulary', 'no such object', undefined);
  }
  const type = 'type' in model ? model.type : 'merges' in model ? 'BPE' : undefined;
  if (type !== 'BPE' && type !== 'Unigram' && type !== 'WordPiece') {
    throw unusable(name, 'a model of type BPE, Unigram or WordPiece', String(type), undefined);
  }
  return {
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: null,
    ...json,
    model: { type, ...model },
    added_tokens: Array.isArray(json['added_tokens']) ? json['added_tokens'] : [],
  };
}

function build(json: Json, config: Json, name: string): Tokenizer {
  try {
    // transformers 5 does not clean up spaces unless asked to; the library does unless told otherwise.
    return new Tokenizer(json, { clean_up_tokenization_spaces: false, ...config });
  } catch (cause) {
    throw unusable(
      name,
      'parts that @huggingface/tokenizers knows',
      cause instanceof Error ? cause.message : String(cause),
      cause,
    );
  }
}

function idsOf(library: Tokenizer, request: { text: string; addSpecialTokens: boolean; name: string }): number[] {
  const { ids, tokens } = library.encode(request.text, { add_special_tokens: request.addSpecialTokens });
  // The library's types say number; a token outside a vocabulary without an unknown token comes out undefined.
  const lost = (ids as (number | undefined)[]).indexOf(undefined);
  if (lost >= 0)
    throw unusable(
      request.name,
      'a vocabulary that covers the text',
      `no id for ${JSON.stringify(tokens[lost])}`,
      undefined,
    );
  return ids;
}

/** The one token that is put before a text, if any. */
function prefixOf(encode: (text: string, addSpecialTokens: boolean) => number[], name: string): number | undefined {
  const bare = encode('a', false);
  const dressed = encode('a', true);
  const before = dressed.findIndex((_, start) => bare.every((id, i) => dressed[start + i] === id));
  if (before > 1) throw unusable(name, 'at most one token before a text', `${before}`, undefined);
  return before === 1 ? dressed[0] : undefined;
}

function specialTokens(json: Json): Map<string, number> {
  const tokens = new Map<string, number>();
  for (const token of json['added_tokens'] as readonly unknown[]) {
    if (typeof token !== 'object' || token === null || !('content' in token) || !('id' in token)) continue;
    if (
      typeof token.content === 'string' &&
      typeof token.id === 'number' &&
      'special' in token &&
      token.special === true
    ) {
      tokens.set(token.content, token.id);
    }
  }
  return tokens;
}

/** The tokens that tokenizer_config.json names, as texts by key. */
export function specialTokensOf(config: Json): Record<string, string> {
  return Object.fromEntries(
    namedTokens.flatMap((key) => (contentOf(config[key]) === undefined ? [] : [[key, contentOf(config[key]) ?? '']])),
  );
}

function contentOf(token: unknown): string | undefined {
  if (typeof token === 'string') return token;
  if (typeof token === 'object' && token !== null && 'content' in token && typeof token.content === 'string')
    return token.content;
  return undefined;
}

function firstId(ids: number | readonly number[] | null | undefined): number | undefined {
  return typeof ids === 'number' ? ids : (ids?.[0] ?? undefined);
}

function bosTemplate(bos: string): Json {
  const special = { SpecialToken: { id: bos, type_id: 0 } };
  const sequence = (id: string): Json => ({ Sequence: { id, type_id: 0 } });
  return {
    type: 'TemplateProcessing',
    single: [special, sequence('A')],
    pair: [special, sequence('A'), special, sequence('B')],
  };
}

function unusable(name: string, expected: string, got: string, cause: unknown): LowrankError {
  return new LowrankError({
    code: 'data.tokenizer',
    what: name,
    expected,
    got,
    remedy: 'Use a tokenizer.json as saved by a fast tokenizer of transformers (tokenizer.save_pretrained).',
    cause,
  });
}
