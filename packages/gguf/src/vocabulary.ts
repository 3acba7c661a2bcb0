import { LowrankError } from '@lowrank/errors';
import type { GgufValue } from './format.js';
import type { Json } from './json.js';
import { listOf, objectOf } from './json.js';
import { preTokenizerOf } from './preTokenizer.js';
import { readPieces } from './sentencePiece.js';
import { specialTokens } from './specialTokens.js';

/** A tokenizer's files, parsed, as far as they are there. */
export interface VocabularyFiles {
  readonly tokenizerJson?: Json | undefined;
  readonly tokenizerConfig?: Json | undefined;
  /** tokenizer.model: a SentencePiece vocabulary with its scores, which tokenizer.json has lost. */
  readonly tokenizerModel?: Uint8Array | undefined;
  /** added_tokens.json */
  readonly addedTokens?: Json | undefined;
  /** chat_template.jinja */
  readonly chatTemplate?: string | undefined;
  /** The tokenizer itself: a byte-level vocabulary is known by what it makes of a text. */
  readonly tokenizer?: TokenizerLike | undefined;
  /** llama.cpp's name for how a byte-level vocabulary splits text, where it is not to be found out. */
  readonly preTokenizer?: string | undefined;
}

/** The part of a tokenizer that identifies its way of splitting text. */
export interface TokenizerLike {
  encode(text: string, options?: { readonly addSpecialTokens?: boolean }): readonly number[];
  decode(ids: ArrayLike<number>, options?: { readonly skipSpecialTokens?: boolean }): string;
}

/** llama.cpp's types of tokens (llama.h). */
const types = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

interface Tokens {
  readonly texts: string[];
  readonly types: number[];
  /** Of SentencePiece alone. */
  readonly scores?: number[];
}

/**
 * A tokenizer as GGUF's metadata, in one of the three ways of llama.cpp's converter: SentencePiece from
 * tokenizer.model, SentencePiece-like from a tokenizer.json with byte fallback (its scores by the order of the merges),
 * or byte-level BPE with merges.
 *
 * @throws LowrankError `gguf.vocabulary`, `gguf.preTokenizer`
 */
export async function vocabularyMetadata(
  files: VocabularyFiles,
  { config, vocabularySize }: { readonly config: Json; readonly vocabularySize: number },
): Promise<(readonly [string, GgufValue])[]> {
  const { tokenizerJson, tokenizerConfig = {}, tokenizerModel } = files;
  const model = objectOf(tokenizerJson?.['model']);
  const metadata: (readonly [string, GgufValue])[] = [];
  if (typeof tokenizerConfig['add_prefix_space'] === 'boolean')
    metadata.push(['tokenizer.ggml.add_space_prefix', { type: 'bool', value: tokenizerConfig['add_prefix_space'] }]);
  const isByteFallback = model['byte_fallback'] === true && objectOf(tokenizerJson?.['decoder'])['type'] === 'Sequence';
  if (
    tokenizerModel === undefined &&
    (tokenizerJson === undefined || (model['type'] ?? (Array.isArray(model['merges']) ? 'BPE' : undefined)) !== 'BPE')
  ) {
    throw new LowrankError({
      code: 'gguf.vocabulary',
      what: 'the tokenizer',
      expected: 'tokenizer.model, or a tokenizer.json of type BPE',
      got: tokenizerJson === undefined ? 'neither' : `type ${String(model['type'])}`,
      remedy:
        "llama.cpp's Llamas have one of these; convert the folder with its own convert_hf_to_gguf.py for another.",
    });
  }
  const tokens =
    tokenizerModel === undefined
      ? isByteFallback
        ? byteFallbackTokens(files, vocabularySize)
        : byteLevelTokens(files, vocabularySize)
      : sentencePieceTokens(files, vocabularySize);
  const isSentencePiece = tokens.scores !== undefined;
  metadata.push(
    ['tokenizer.ggml.model', { type: 'string', value: isSentencePiece ? 'llama' : 'gpt2' }],
    ['tokenizer.ggml.pre', { type: 'string', value: isSentencePiece ? 'default' : await preTokenizer(files) }],
    ['tokenizer.ggml.tokens', { type: 'strings', value: tokens.texts }],
  );
  if (tokens.scores !== undefined) metadata.push(['tokenizer.ggml.scores', { type: 'f32s', value: tokens.scores }]);
  metadata.push(['tokenizer.ggml.token_type', { type: 'i32s', value: tokens.types }]);
  if (!isSentencePiece) metadata.push(['tokenizer.ggml.merges', { type: 'strings', value: mergesOf(model) }]);
  metadata.push(
    ...specialTokens({
      tokenizerJson,
      tokenizerConfig: files.tokenizerConfig,
      config,
      count: isSentencePiece ? tokens.texts.length : undefined,
    }),
  );
  metadata.push(...chatTemplates(files));
  // As llama.cpp's converter has it for the vocabulary that SmolLM and Granite share: their template writes BOS
  // itself, or they have none.
  if (vocabularySize === 49_152) metadata.push(['tokenizer.ggml.add_bos_token', { type: 'bool', value: false }]);
  return metadata;
}

async function preTokenizer({ preTokenizer: given, tokenizer }: VocabularyFiles): Promise<string> {
  if (given !== undefined) return given;
  if (tokenizer === undefined)
    throw new LowrankError({
      code: 'gguf.preTokenizer',
      what: 'a byte-level vocabulary',
      expected: 'the tokenizer, or the name of its way of splitting text',
      got: 'neither',
    });
  return preTokenizerOf((text) => tokenizer.encode(text));
}

function sentencePieceTokens(
  { tokenizerModel = new Uint8Array(), addedTokens = {}, tokenizerConfig = {} }: VocabularyFiles,
  size: number,
): Required<Tokens> {
  const texts = Array.from({ length: size }, (_, id) => `[PAD${id}]`);
  const scores = Array.from({ length: size }, () => -10_000);
  const kinds = Array.from({ length: size }, (): number => types.unused);
  readPieces(tokenizerModel)
    .slice(0, size)
    .forEach(({ text, score, type }, id) => {
      texts[id] = text;
      scores[id] = score;
      // What is user-defined within the vocabulary counts as a plain piece.
      kinds[id] = type === types.userDefined ? types.normal : type;
    });
  const put = (id: number, text: string, type: number): void => {
    if (!Number.isInteger(id) || id < 0 || id >= size) return;
    texts[id] = text;
    scores[id] = -1000;
    kinds[id] = type;
  };
  for (const [text, id] of Object.entries(addedTokens)) put(Number(id), text, types.userDefined);
  for (const [id, token] of Object.entries(objectOf(tokenizerConfig['added_tokens_decoder']))) {
    const { content, special } = objectOf(token);
    if (typeof content !== 'string') continue;
    if (special === true || looksSpecial(content)) put(Number(id), content, types.control);
    else put(Number(id), content.replaceAll('\u2581', ' '), types.userDefined);
  }
  return { texts, scores, types: kinds };
}

interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  readonly normalized: boolean;
}

function vocabularyOf(json: Json): {
  readonly byId: ReadonlyMap<number, string>;
  readonly added: readonly AddedToken[];
} {
  const byId = new Map(
    Object.entries(objectOf(objectOf(json['model'])['vocab'])).map(([text, id]) => [Number(id), text]),
  );
  const added = listOf(json['added_tokens'])
    .map(objectOf)
    .map(({ id, content, special, normalized }): AddedToken => ({
      id: Number(id),
      content: String(content),
      special: special === true,
      normalized: normalized === true,
    }));
  return { byId, added };
}

function byteFallbackTokens(
  { tokenizerJson = {}, tokenizerConfig = {} }: VocabularyFiles,
  size: number,
): Required<Tokens> {
  const { byId, added } = vocabularyOf(tokenizerJson);
  const addedById = new Map(added.map((token) => [token.id, token]));
  // What counts as special in transformers: what the configuration names, not what tokenizer.json marks.
  const named = new Set(
    Object.entries(tokenizerConfig)
      .filter(([key]) => /^[a-z]+_token$|^(additional|extra)_special_tokens$/.test(key))
      .flatMap(([, value]) =>
        (Array.isArray(value) ? listOf(value) : [value]).map((token) =>
          typeof token === 'string' ? token : objectOf(token)['content'],
        ),
      ),
  );
  const base = byId.size;
  const total = added.reduce((most, { id }) => Math.max(most, id + 1), Math.max(size, base));
  const texts = Array.from({ length: total }, (_, id) => byId.get(id) ?? addedById.get(id)?.content ?? `[PAD${id}]`);
  const kinds = texts.map((text, id) => {
    const token = addedById.get(id);
    const isSpecial = token !== undefined && named.has(text);
    if (id >= base) return token === undefined ? types.unused : isSpecial ? types.control : types.userDefined;
    return /^<0x[0-9A-Fa-f]{2}>$/.test(text) ? types.byte : isSpecial ? types.control : types.normal;
  });
  return { texts, types: kinds, scores: mergeScores(texts, objectOf(tokenizerJson['model'])) };
}

/**
 * llama.cpp joins the pair first whose token has the highest score, transformers the one whose merge stands first: so a
 * token's score is minus the place of its first merge, which is what SentencePiece had. (llama.cpp's converter writes
 * -1000 for every token here, with which llama.cpp splits texts in another way than the model has learned.)
 */
function mergeScores(texts: readonly string[], model: Json): number[] {
  const places = new Map<string, number>();
  listOf(model['merges']).forEach((merge, place) => {
    const text = typeof merge === 'string' ? merge.replace(' ', '') : listOf(merge).join('');
    if (!places.has(text)) places.set(text, place);
  });
  return texts.map((text) => {
    const place = places.get(text);
    return place === undefined ? -1000 : 0 - place;
  });
}

function byteLevelTokens({ tokenizerJson = {}, tokenizer }: VocabularyFiles, size: number): Tokens {
  const { byId, added } = vocabularyOf(tokenizerJson);
  const addedById = new Map(added.map((token) => [token.id, token]));
  // Not as arguments of Math.max: from about 120,000 on they are more than the stack holds.
  const last = [...byId.keys(), ...addedById.keys()].reduce((most, id) => Math.max(most, id), -1);
  if (last >= size)
    throw new LowrankError({
      code: 'gguf.vocabulary',
      what: `token ${last} of tokenizer.json`,
      expected: `ids below the ${size} of config.json's vocab_size`,
      got: 'one beyond',
      remedy: 'The tokenizer belongs to another model.',
    });
  const kinds: number[] = [];
  const texts = Array.from({ length: size }, (_, id) => {
    const token = addedById.get(id);
    const text = token?.content ?? byId.get(id);
    kinds.push(text === undefined ? types.unused : types.normal);
    if (token === undefined) return text ?? `[PAD${id}]`;
    // llama.cpp wants added tokens as text: what encoding and decoding makes of them.
    const plain =
      token.normalized || tokenizer === undefined
        ? token.content
        : tokenizer.decode(tokenizer.encode(token.content, { addSpecialTokens: false }), { skipSpecialTokens: false });
    const isControl = token.special || looksSpecial(plain);
    kinds[id] = isControl ? types.control : types.userDefined;
    return isControl ? plain : plain.replaceAll('\u2581', ' ');
  });
  return { texts, types: kinds };
}

/** Tokens that ought to be special and are not marked so (llama.cpp's list). */
function looksSpecial(text: string): boolean {
  return (
    ['<pad>', '<mask>', '<2mass>', '[@BOS@]'].includes(text) ||
    /^<\|.*\|>$/s.test(text) ||
    /^<｜.*｜>$/s.test(text) ||
    /^<unused.*>$/s.test(text)
  );
}

/** `a b` for each merge; a space within a part as the byte-level alphabet has it. */
function mergesOf(model: Json): string[] {
  return listOf(model['merges']).map((merge) =>
    typeof merge === 'string'
      ? merge
      : listOf(merge)
          .map((part) => String(part).replaceAll(' ', '\u0120'))
          .join(' '),
  );
}

function chatTemplates({ tokenizerConfig = {}, chatTemplate }: VocabularyFiles): (readonly [string, GgufValue])[] {
  const template = tokenizerConfig['chat_template'] ?? chatTemplate;
  if (typeof template === 'string') return [['tokenizer.chat_template', { type: 'string', value: template }]];
  const named = listOf(template)
    .map(objectOf)
    .flatMap(({ name, template: text }) =>
      typeof name === 'string' && typeof text === 'string'
        ? [{ name: name.replaceAll(/[^A-Za-z0-9]/g, '_'), text }]
        : [],
    );
  const others = named.filter(({ name }) => name !== 'default');
  const first = named.find(({ name }) => name === 'default');
  return [
    ...others.map(({ name, text }) => [`tokenizer.chat_template.${name}`, { type: 'string', value: text }] as const),
    ...(others.length === 0
      ? []
      : [['tokenizer.chat_templates', { type: 'strings', value: others.map(({ name }) => name) }] as const]),
    ...(first === undefined ? [] : [['tokenizer.chat_template', { type: 'string', value: first.text }] as const]),
  ];
}
