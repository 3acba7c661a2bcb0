import type { AddedToken } from './addedTokens.js';
import { readAddedToken } from './addedTokens.js';
import type { PartJson } from './partJson.js';
import { isPart, unusablePart } from './partJson.js';
import { tokenText } from './tokenizerClass.js';

/** The files beside tokenizer.json that name tokens, parsed. */
export interface TokenFiles {
  readonly config: PartJson;
  readonly specialTokensMap?: PartJson | undefined;
  readonly addedTokens?: PartJson | undefined;
}

export interface FolderTokens {
  /** What is added to the tokens of tokenizer.json, in this order. */
  readonly added: readonly AddedToken[];
  /** Texts of the named special tokens, by key: `bos_token` and the like. */
  readonly named: Readonly<Record<string, string>>;
  readonly warnings: readonly string[];
}

const standardKeys = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'];

/** A token that files name: by its text alone, or with flags. */
type Mention = string | AddedToken;

/**
 * The tokens of a folder as transformers 5 reads them: `added_tokens_decoder` of tokenizer_config.json, or without one
 * special_tokens_map.json, added_tokens.json and the added tokens of tokenizer.json; then the named special tokens,
 * then the others, each unless it is there already. Ids are given in this order.
 *
 * @param known the tokens that the pipeline has already: tokenizer.json's own, unless its class builds it anew
 */
export function folderTokens(
  json: PartJson,
  files: TokenFiles,
  { defaults, known }: { readonly defaults: PartJson; readonly known: readonly AddedToken[] },
): FolderTokens {
  const settings = merged(files, defaults);
  const listed = listedTokens(json, files, settings);
  const byText = new Map(listed.map(({ token }) => [token.content, token]));
  const named: Record<string, Mention> = {};
  for (const key of standardKeys) {
    const mention = mentionOf(settings[key], `${key} in tokenizer_config.json`);
    if (mention !== undefined) named[key] = byText.get(textOfMention(mention)) ?? mention;
  }
  const { others, extra } = otherTokens(settings);
  Object.assign(named, others);

  const added: AddedToken[] = listed
    .map(({ token }) => token)
    .filter((token) => !known.some((own) => equal(own, token)));
  const there = new Set([...known, ...added].map(({ content }) => content));
  const texts = new Set(Object.values(named).map(textOfMention));
  for (const mention of [...Object.values(named), ...extra]) {
    const text = textOfMention(mention);
    if (there.has(text)) continue;
    there.add(text);
    added.push(typeof mention === 'string' ? plainSpecial(mention) : mention);
  }
  return {
    added: added.map((token) => (texts.has(token.content) ? { ...token, special: true } : token)),
    named: Object.fromEntries(Object.entries(named).map(([key, mention]) => [key, textOfMention(mention)])),
    warnings: listed.flatMap(({ warning }) => warning ?? []),
  };
}

/** A special token without flags. */
export function plainSpecial(content: string): AddedToken {
  return { content, special: true, singleWord: false, lstrip: false, rstrip: false, normalized: false };
}

/** tokenizer_config.json with special_tokens_map.json over it, where that is read. */
function merged({ config, specialTokensMap }: TokenFiles, defaults: PartJson): Record<string, unknown> {
  const settings: Record<string, unknown> = { ...defaults, ...config };
  if (isEmpty(settings['extra_special_tokens']) && settings['additional_special_tokens'] !== undefined)
    settings['extra_special_tokens'] = settings['additional_special_tokens'];
  if (config['added_tokens_decoder'] !== undefined || specialTokensMap === undefined) return settings;
  for (const [key, value] of Object.entries(specialTokensMap)) {
    const isMore = key === 'extra_special_tokens' && Array.isArray(value);
    const before = settings['extra_special_tokens'];
    if (isMore) settings[key] = [...(Array.isArray(before) ? (before as unknown[]) : []), ...(value as unknown[])];
    else if (key !== 'additional_special_tokens') settings[key] = isPart(value) ? { ...value, special: true } : value;
    else if (isEmpty(before)) settings['extra_special_tokens'] = value;
  }
  return settings;
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || (Array.isArray(value) ? value.length === 0 : false);
}

interface Listed {
  readonly id: number;
  readonly token: AddedToken;
  readonly warning?: string;
}

/** Tokens that files list with ids, by id. */
function listedTokens(json: PartJson, files: TokenFiles, settings: PartJson): Listed[] {
  const byId = new Map<number, Listed>();
  const put = (id: number, token: AddedToken): unknown => byId.set(id, { id, token });
  const decoder = files.config['added_tokens_decoder'];
  if (isPart(decoder)) {
    for (const [id, token] of Object.entries(decoder)) {
      const place = `added_tokens_decoder.${id} in tokenizer_config.json`;
      if (!/^\d+$/.test(id)) throw unusablePart(place, 'a whole number as id', id);
      put(Number(id), readAddedToken(token, place));
    }
  } else {
    const special = new Set(
      [...standardKeys.map((key) => settings[key]), ...extraList(settings)].flatMap((token) => tokenText(token) ?? []),
    );
    for (const [content, id] of Object.entries(files.addedTokens ?? {})) {
      if (typeof id !== 'number' || !Number.isSafeInteger(id) || id < 0)
        throw unusablePart(`${JSON.stringify(content)} in added_tokens.json`, 'a whole number as id', id);
      const isSpecial = special.has(content);
      put(id, { ...plainSpecial(content), special: isSpecial, normalized: !isSpecial });
    }
    const own = Array.isArray(json['added_tokens']) ? (json['added_tokens'] as unknown[]) : [];
    own.forEach((token, at) => {
      const id = isPart(token) ? token['id'] : undefined;
      if (typeof id === 'number') put(id, readAddedToken(token, `added_tokens.${at}`));
    });
  }
  return [...byId.values()].sort((one, other) => one.id - other.id);
}

/** Model-specific tokens (other keys in `_token`, or an object of them), and tokens without a name. */
function otherTokens(settings: PartJson): { others: Record<string, Mention>; extra: Mention[] } {
  const others: Record<string, Mention> = {};
  const put = (key: string, value: unknown): void => {
    const mention = mentionOf(value, key);
    if (mention !== undefined) others[key] = mention;
  };
  for (const [key, value] of Object.entries(settings))
    if (key.endsWith('_token') && !standardKeys.includes(key) && tokenText(value) !== undefined) put(key, value);
  for (const key of ['extra_special_tokens', 'model_specific_special_tokens']) {
    const value = settings[key];
    if (isPart(value)) for (const [name, token] of Object.entries(value)) put(name, token);
  }
  const extra = extraList(settings).flatMap((token, at) => mentionOf(token, `extra_special_tokens.${at}`) ?? []);
  return { others, extra };
}

function extraList(settings: PartJson): readonly unknown[] {
  const value = settings['extra_special_tokens'];
  return Array.isArray(value) ? (value as unknown[]) : [];
}

function mentionOf(value: unknown, place: string): Mention | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string') return value;
  return readAddedToken(value, place);
}

function textOfMention(mention: Mention): string {
  return typeof mention === 'string' ? mention : mention.content;
}

function equal(one: AddedToken, other: AddedToken): boolean {
  return (
    one.content === other.content &&
    one.special === other.special &&
    one.singleWord === other.singleWord &&
    one.lstrip === other.lstrip &&
    one.rstrip === other.rstrip &&
    one.normalized === other.normalized
  );
}
