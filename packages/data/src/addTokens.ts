import { LowrankError, parseJson } from '@lowrank/errors';
import { readTokenizer } from './files.js';
import type { TextFiles } from './textFiles.js';
import { tokenizerFileNames } from './textFiles.js';
import type { TextTokenizer } from './tokenizer.js';

/** A folder's tokenizer with tokens added. */
export interface WithTokens {
  readonly tokenizer: TextTokenizer;
  /** The tokenizer's files as they are now, by name: what a folder that needs these tokens is saved with. */
  readonly files: Readonly<Record<string, string>>;
}

/**
 * Adds tokens to a folder's tokenizer as `tokenizer.add_tokens` of transformers does: none of them special, each found
 * anywhere in the normalized text, ids after all others. A token that is there already stays as it is.
 *
 * @throws LowrankError `data.addTokens` for an empty token, and what readTokenizer throws
 */
export async function addTokens(folder: TextFiles, tokens: readonly string[]): Promise<WithTokens> {
  if (tokens.includes(''))
    throw new LowrankError({
      code: 'data.addTokens',
      what: 'the tokens to add',
      expected: 'texts of one character at least',
      got: 'an empty one',
    });
  const files: Record<string, string> = {};
  for (const name of tokenizerFileNames) {
    const text = await folder.text(name);
    if (text !== undefined) files[name] = text;
  }
  const before = await readTokenizer(folder);
  const there = addedIn(files);
  const fresh = [...new Set(tokens)].filter((token) => !there.has(token));
  if (fresh.length === 0) return { tokenizer: before, files };
  // The ids are the reader's to give: first with any, then with its own.
  const guessed = new Map(fresh.map((token, at) => [token, before.vocabularySize + at]));
  const made = withTokens(files, idsIn(await readTokenizer(over(folder, withTokens(files, guessed))), fresh));
  return { tokenizer: await readTokenizer(over(folder, made)), files: made };
}

/** The texts of the tokens that files add to the vocabulary. */
function addedIn(files: Readonly<Record<string, string>>): Set<string> {
  const parsed = (name: string): object => parseJson(files[name] ?? '{}') as object;
  const { added_tokens: own = [] } = parsed('tokenizer.json') as { added_tokens?: { content?: string }[] };
  const { added_tokens_decoder: decoder = {} } = parsed('tokenizer_config.json') as {
    added_tokens_decoder?: Record<string, { content?: string }>;
  };
  const contents = [...own, ...Object.values(decoder)].flatMap(({ content }) => content ?? []);
  return new Set([...contents, ...Object.keys(parsed('added_tokens.json'))]);
}

function idsIn(tokenizer: TextTokenizer, tokens: readonly string[]): Map<string, number> {
  const wanted = new Set(tokens);
  const ids = new Map<string, number>();
  for (let id = 0; id < tokenizer.vocabularySize; id++) {
    const token = tokenizer.tokenOf(id);
    if (token !== undefined && wanted.has(token)) ids.set(token, id);
  }
  return ids;
}

function withTokens(files: Readonly<Record<string, string>>, ids: ReadonlyMap<string, number>): Record<string, string> {
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: true, special: false };
  const made = { ...files };
  const json = parseJson(files['tokenizer.json'] ?? '{}') as { added_tokens?: object[] };
  const listed = [...ids].map(([content, id]) => ({ id, content, ...flags }));
  made['tokenizer.json'] = written({ ...json, added_tokens: [...(json.added_tokens ?? []), ...listed] });
  const config = parseJson(files['tokenizer_config.json'] ?? '{}') as { added_tokens_decoder?: object };
  if (config.added_tokens_decoder !== undefined) {
    const decoder = Object.fromEntries([...ids].map(([content, id]) => [id, { content, ...flags }]));
    const all = { ...config.added_tokens_decoder, ...decoder };
    made['tokenizer_config.json'] = written({ ...config, added_tokens_decoder: all });
  }
  if (files['added_tokens.json'] !== undefined)
    made['added_tokens.json'] = written({
      ...(parseJson(files['added_tokens.json']) as object),
      ...Object.fromEntries(ids),
    });
  return made;
}

function written(json: object): string {
  return `${JSON.stringify(json, null, 2)}\n`;
}

/** A folder where some files are others. */
function over(folder: TextFiles, files: Readonly<Record<string, string>>): TextFiles {
  return { name: folder.name, text: async (name) => files[name] ?? folder.text(name) };
}
