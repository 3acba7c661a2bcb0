import { isLowrankError, LowrankError } from '@lowrank/errors';
import { cleanUpSpaces } from './tokenizers/decoders.js';
import type { TokenFiles } from './tokenizers/folderTokens.js';
import { folderTokens, plainSpecial } from './tokenizers/folderTokens.js';
import type { PartJson } from './tokenizers/partJson.js';
import { isPart, unusablePart } from './tokenizers/partJson.js';
import type { TextSpan } from './tokenizers/pipeline.js';
import type { PairPart, PostProcessor } from './tokenizers/postProcessors.js';
import { plainPair } from './tokenizers/postProcessors.js';
import { TokenizerPipeline } from './tokenizers/pipeline.js';
import { classPipeline, tokenText } from './tokenizers/tokenizerClass.js';
import { unknownConfigKeys, unknownMapKeys, unknownTokenizerKeys } from './tokenizers/unknownKeys.js';

/** Text to token ids and back, and what training needs to know of the special tokens. */
export interface TextTokenizer {
  /** Ids of the text. With `addSpecialTokens` (the default) what the tokenizer itself puts around it, such as BOS. */
  encode(text: string, options?: { readonly addSpecialTokens?: boolean }): number[];
  /** Text of the ids; special tokens are left out unless `skipSpecialTokens` is false. */
  decode(ids: ArrayLike<number>, options?: { readonly skipSpecialTokens?: boolean }): string;
  /** Ids of the text alone, and the part of the text that each came from. */
  encodeWithSpans(text: string): { readonly ids: number[]; readonly spans: TextSpan[] };
  /**
   * What the tokenizer puts around the ids of a text, or of two: all ids, the type of each (1 in the second text of a
   * pair, where the tokenizer has types), and where the texts begin.
   */
  assemble(first: readonly number[], second?: readonly number[]): AssembledText;
  /** The token's own text, with the tokenizer's marks for spaces and bytes; undefined beyond the vocabulary. */
  tokenOf(id: number): string | undefined;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  /** True where `encode` puts BOS before the text. */
  readonly addsBos: boolean;
  /**
   * What chat templates call `bos_token`, `eos_token`, `unk_token`, `pad_token` and so on, as far as the folder's files
   * name them.
   */
  readonly specialTokens: Readonly<Record<string, string>>;
  /** The largest id plus one. A model's embedding may have more rows, for padding, never fewer. */
  readonly vocabularySize: number;
  /** What the folder's files say that is not followed: keys that are not known, ids that are given otherwise. */
  readonly warnings: readonly string[];
}

/** What a tokenizer makes of the ids of a text, or of two. */
export interface AssembledText {
  readonly ids: number[];
  readonly types: number[];
  /** The place of the first token of each text. */
  readonly starts: readonly number[];
}

/** Options of `loadTokenizer`. */
export interface TokenizerOptions {
  /** What errors call it; `tokenizer.json` by default. */
  readonly name?: string;
  /** `bos_token_id` and `eos_token_id` of the model's config.json, for tokenizers that do not name theirs. */
  readonly modelIds?: {
    readonly bos?: number | readonly number[] | null;
    readonly eos?: number | readonly number[] | null;
  };
  /** `model_type` and `tokenizer_class` of config.json: transformers chooses the class of the tokenizer by them. */
  readonly modelType?: string | undefined;
  readonly modelClass?: string | undefined;
  /** special_tokens_map.json and added_tokens.json, parsed. */
  readonly specialTokensMap?: object | undefined;
  readonly addedTokens?: object | undefined;
}

/**
 * What a tokenizer calls these tokens where neither its files nor the model's name them; only special tokens are
 * looked at.
 */
const usualNames = {
  bos: ['<s>', '<|begin_of_text|>', '<bos>', '<|startoftext|>'],
  eos: ['</s>', '<|end_of_text|>', '<eos>', '<|endoftext|>'],
};

/**
 * A tokenizer from the parsed files of a Hugging Face folder, equal to what AutoTokenizer of transformers 5 makes of
 * them.
 *
 * BOS and EOS: `bos_token` and `eos_token` of the files (a string, or an object with `content`), else the model's ids,
 * else a special token with a usual name. The post-processor of tokenizer.json alone decides whether BOS is added.
 *
 * @throws LowrankError `data.tokenizer`: no tokenizer, or parts that cannot be done as in the Rust library
 */
export function loadTokenizer(
  tokenizerJson: object,
  tokenizerConfig: object = {},
  options: TokenizerOptions = {},
): TextTokenizer {
  const name = options.name ?? 'tokenizer.json';
  const config = tokenizerConfig as PartJson;
  const { pipeline, named, warnings } = openPipeline(tokenizerJson as PartJson, config, options);
  const { before, after } = pipeline.post;
  if (before.length > 1) throw unusablePart(name, 'at most one token before a text', `${before.length}`);
  const cleans = cleansUp(config, pipeline.model.type);
  const find = (kind: 'bos' | 'eos'): number | undefined => {
    const text = named[`${kind}_token`];
    const usual = usualNames[kind].find((token) => isSpecial(pipeline, token));
    return (
      (text === undefined ? undefined : pipeline.idOf(text)) ??
      firstId(options.modelIds?.[kind]) ??
      (usual === undefined ? undefined : pipeline.idOf(usual))
    );
  };
  const bosId = find('bos') ?? before[0];
  return {
    encode(text, { addSpecialTokens = true } = {}) {
      const ids = pipeline.encode(text);
      return addSpecialTokens ? [...before, ...ids, ...after] : ids;
    },
    decode(ids, { skipSpecialTokens = true } = {}) {
      const text = pipeline.decode(ids, skipSpecialTokens);
      return cleans ? cleanUpSpaces(text) : text;
    },
    encodeWithSpans: (text) => pipeline.encodeWithSpans(text),
    assemble: (first, second) => assembled(pipeline.post, first, second),
    tokenOf: (id) => pipeline.tokenOf(id),
    bosId,
    eosId: find('eos'),
    addsBos: before.length === 1 && before[0] === bosId,
    specialTokens: named,
    vocabularySize: pipeline.vocabularySize,
    warnings,
  };
}

function assembled(
  { before, after, pair = plainPair }: PostProcessor,
  first: readonly number[],
  second: readonly number[] | undefined,
): AssembledText {
  const single = [before, 'A' as const, after].map((ids): PairPart => ({ ids, type: 0 }));
  const [ids, types, starts]: [number[], number[], number[]] = [[], [], []];
  for (const part of second === undefined ? single : pair) {
    const own = part.ids === 'A' ? first : part.ids === 'B' ? (second ?? []) : part.ids;
    if (typeof part.ids === 'string') starts.push(ids.length);
    for (const id of own) ids.push(id);
    for (let at = own.length; at > 0; at--) types.push(part.type);
  }
  return { ids, types, starts };
}

/** The pipeline with all of the folder's tokens in it. */
function openPipeline(
  json: PartJson,
  config: PartJson,
  options: TokenizerOptions,
): { pipeline: TokenizerPipeline; named: Readonly<Record<string, string>>; warnings: string[] } {
  if (!isPart(json['model']))
    throw unusablePart(options.name ?? 'tokenizer.json', 'a tokenizer.json with a model and its vocabulary', 'none');
  const chosen = classPipeline(json, config, options);
  const pipeline = openJson(chosen.isRebuilt ? { ...chosen.json, added_tokens: [] } : chosen.json, config, options);
  const files: TokenFiles = {
    config,
    specialTokensMap: options.specialTokensMap as PartJson | undefined,
    addedTokens: options.addedTokens as PartJson | undefined,
  };
  const known = pipeline.added.entries.map(([, token]) => token);
  const tokens = folderTokens(json, files, { defaults: chosen.defaults, known });
  pipeline.added.add(tokens.added);
  if (chosen.resetsSpecialTokens) pipeline.added.add([...new Set(Object.values(tokens.named))].map(plainSpecial));
  return {
    pipeline,
    named: tokens.named,
    warnings: [
      ...unknownTokenizerKeys(json),
      ...unknownConfigKeys(config),
      ...(files.specialTokensMap === undefined ? [] : unknownMapKeys(files.specialTokensMap)),
      ...chosen.warnings,
      ...otherIds(json, files, pipeline),
    ],
  };
}

function openJson(json: PartJson, config: PartJson, { name }: TokenizerOptions): TokenizerPipeline {
  try {
    return new TokenizerPipeline(json, { splitsSpecialTokens: config['split_special_tokens'] === true });
  } catch (cause) {
    throw named(cause, name ?? 'tokenizer.json');
  }
}

/** Errors of parts name their place in the file; the file's path goes before it. */
function named(cause: unknown, name: string): unknown {
  if (!isLowrankError(cause) || cause.code !== 'data.tokenizer') return cause;
  const { what, expected, got, remedy } = cause;
  return new LowrankError({ code: cause.code, what: `${name}: ${what}`, expected, got, remedy, cause });
}

/** Warnings for tokens whose ids the files tell otherwise than they are given. */
function otherIds(json: PartJson, { config, addedTokens }: TokenFiles, pipeline: TokenizerPipeline): string[] {
  const told: [content: string | undefined, id: unknown][] = [];
  const decoder = config['added_tokens_decoder'];
  if (isPart(decoder)) for (const [id, token] of Object.entries(decoder)) told.push([tokenText(token), Number(id)]);
  else for (const [content, id] of Object.entries(addedTokens ?? {})) told.push([content, id]);
  if (Array.isArray(json['added_tokens']))
    for (const token of json['added_tokens'] as unknown[])
      if (isPart(token)) told.push([tokenText(token), token['id']]);
  return told.flatMap(([content, id]) => {
    const given = content === undefined ? undefined : pipeline.idOf(content);
    if (given === undefined || given === id) return [];
    return [
      `The token ${JSON.stringify(content)} has the id ${given}, as in transformers; the files say ${String(id)}.`,
    ];
  });
}

/** transformers 5 does not clean up after BPE, whatever the flag says. */
function cleansUp(config: PartJson, model: string): boolean {
  const forBpe = config['clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output'] === true;
  return config['clean_up_tokenization_spaces'] === true && (model !== 'BPE' || forBpe);
}

function isSpecial(pipeline: TokenizerPipeline, content: string): boolean {
  const id = pipeline.added.idOf(content);
  return id !== undefined && pipeline.added.byId(id)?.special === true;
}

function firstId(ids: number | readonly number[] | null | undefined): number | undefined {
  return typeof ids === 'number' ? ids : (ids?.[0] ?? undefined);
}
