import { LowrankError } from '@lowrank/errors';
import type { Dataset, LoadDatasetOptions, RowSelection } from './dataset.js';
import { loadDataset, selectRows } from './dataset.js';
import type { TextRow } from './jsonl.js';
import { parseJsonl } from './jsonl.js';
import type { TextTokenizer, TokenizerOptions } from './tokenizer.js';
import { loadTokenizer } from './tokenizer.js';

/**
 * The tokenizer of a Hugging Face folder (Node only): tokenizer.json, with tokenizer_config.json and the ids of
 * config.json where these exist.
 *
 * @throws LowrankError `data.missing`, `data.json`, and what loadTokenizer throws
 */
export async function readTokenizer(folder: string): Promise<TextTokenizer> {
  const path = `${folder.replace(/[/\\]+$/, '')}/`;
  const tokenizer = await readJson(`${path}tokenizer.json`);
  if (tokenizer === undefined) {
    throw new LowrankError({
      code: 'data.missing',
      what: `${path}tokenizer.json`,
      expected: 'a file',
      got: 'nothing at that path',
      remedy:
        'A model folder needs the tokenizer.json that came with the model; transformers writes one with ' +
        'save_pretrained.',
    });
  }
  const config = await readJson(`${path}tokenizer_config.json`);
  const model = await readJson(`${path}config.json`);
  const modelIds = { bos: model?.['bos_token_id'], eos: model?.['eos_token_id'] } as TokenizerOptions['modelIds'];
  return loadTokenizer(tokenizer, config, { name: `${path}tokenizer.json`, modelIds });
}

/**
 * A data set out of a JSONL file (Node only), read piece by piece.
 *
 * @throws LowrankError `data.missing`, `data.unreadable`, and what loadDataset throws
 */
export async function readDataset(
  path: string,
  tokenizer: TextTokenizer,
  options: LoadDatasetOptions = {},
): Promise<Dataset> {
  return loadDataset(fileText(path), tokenizer, { name: path, ...options });
}

/**
 * The rows of a JSONL file as they are (Node only), cut and chosen as the options say.
 *
 * @throws LowrankError `data.missing`, `data.unreadable`, and what parseJsonl, splitAfter and holdOut throw
 */
export async function readTextRows(path: string, options: RowSelection = {}): Promise<TextRow[]> {
  return selectRows(await parseJsonl(fileText(path), { name: path }), { ...options, name: path });
}

async function* fileText(path: string): AsyncGenerator<string, void, undefined> {
  const { open } = await import('node:fs/promises');
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw unreadable(path, cause);
  });
  try {
    const decoder = new TextDecoder('utf-8', { fatal: true });
    for (;;) {
      const { bytesRead, buffer } = await file.read(new Uint8Array(1 << 20));
      yield decoder.decode(buffer.subarray(0, bytesRead), { stream: bytesRead > 0 });
      if (bytesRead === 0) return;
    }
  } catch (cause) {
    throw unreadable(path, cause);
  } finally {
    await file.close();
  }
}

export async function readJson(path: string): Promise<Record<string, unknown> | undefined> {
  const text = await readText(path);
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Told below, as for JSON that is no object.
  }
  throw new LowrankError({
    code: 'data.json',
    what: path,
    expected: 'a JSON object',
    got: 'something else',
    remedy: 'Download the file again.',
  });
}

/** undefined where there is no such file. */
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

function unreadable(path: string, cause: unknown): LowrankError {
  return new LowrankError({
    code: isMissing(cause) ? 'data.missing' : 'data.unreadable',
    what: path,
    expected: 'a file of UTF-8 text that can be read',
    got: isMissing(cause) ? 'nothing at that path' : cause instanceof Error ? cause.message : String(cause),
    remedy: 'Check the path, the permissions and the encoding of the file.',
    cause,
  });
}
