import { LowrankError, parseJson } from '@lowrank/errors';
import type { FolderView } from '@lowrank/files/reading';

/** The text files of a model: a folder on disk, files that a person picked, a hub. */
export interface TextFiles {
  /** What errors call the place. */
  readonly name: string;
  /** A file's text by its name; undefined where there is no such file. */
  text(name: string): Promise<string | undefined>;
}

/** The files that a tokenizer and its chat template are read from. */
export const tokenizerFileNames: readonly string[] = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'chat_template.jinja',
];

/**
 * A folder on disk (Node), or what already is {@link TextFiles}. Its files are those of one saving: where another
 * process
 * saves into it meanwhile, asking for the next file is an error.
 */
export function textFiles(place: string | TextFiles): TextFiles {
  if (typeof place !== 'string') return place;
  const name = place.replace(/[/\\]+$/, '');
  let view: FolderView | undefined;
  return {
    name,
    async text(file) {
      const { viewFolder } = await import('@lowrank/files/reading');
      view ??= await viewFolder(name);
      const path = await view.locate(file);
      if (path === undefined) return undefined;
      // A saving that ends right now may have moved it.
      const text = (await readText(path)) ?? (await readText((await view.locate(file)) ?? path));
      await view.check();
      return text;
    },
  };
}

/**
 * A JSON object of a file; undefined where there is no such file.
 *
 * @throws LowrankError `data.json`
 */
export async function readOptionalJson(files: TextFiles, file: string): Promise<Record<string, unknown> | undefined> {
  const text = await files.text(file);
  if (text === undefined) return undefined;
  try {
    const value: unknown = parseJson(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Reported below, as is JSON that is no object.
  }
  throw new LowrankError({
    code: 'data.json',
    what: `${files.name}/${file}`,
    expected: 'a JSON object',
    got: 'something else',
    remedy: 'Download the file again.',
  });
}

/** The text of a file on disk (Node); undefined where there is no such file. @throws LowrankError `data.unreadable` */
export async function readText(path: string): Promise<string | undefined> {
  const { readFile } = await import('node:fs/promises');
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw unreadable(path, cause);
  }
}

function isMissing(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && (cause.code === 'ENOENT' || cause.code === 'ENOTDIR');
}

/** What became of a file that cannot be read: `data.missing` or `data.unreadable`. */
export function unreadable(path: string, cause: unknown): LowrankError {
  return new LowrankError({
    code: isMissing(cause) ? 'data.missing' : 'data.unreadable',
    what: path,
    expected: 'a file of UTF-8 text that can be read',
    got: isMissing(cause) ? 'nothing at that path' : cause instanceof Error ? cause.message : String(cause),
    remedy: 'Check the path, the permissions and the encoding of the file.',
    cause,
  });
}
