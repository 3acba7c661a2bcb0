import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { companionFiles, findModel } from '@lowrank/models';
import type { LoadProgress } from '../front/loadingReporter.js';
import type { FolderSaving } from '@lowrank/files';

/** What a job reports while it runs. */
export interface TransferEvents {
  readonly onTransfer?: ((event: LoadProgress) => void) | undefined;
  readonly onWarning?: ((text: string) => void) | undefined;
}

interface Places {
  readonly model: string;
  readonly adapter?: string | undefined;
  readonly initAdapter?: string | undefined;
}

/**
 * The same options with folders on this machine for models and adapters that were given as hub ids or URLs, downloaded
 * where need be; and `baseModel`, the model as it was given.
 *
 * @throws LowrankError what models' findModel throws
 */
export async function withFolders<Options extends Places>(
  options: Options,
  { onTransfer, onWarning }: TransferEvents,
): Promise<Options & { readonly baseModel: string }> {
  const find = (text: string, kind: 'model' | 'adapter'): ReturnType<typeof findModel> =>
    findModel(text, { kind, onWarning, onProgress: (progress) => onTransfer?.({ stage: 'downloading', ...progress }) });
  const { name, folder } = await find(options.model, 'model');
  const found: Record<string, string> = { model: folder };
  for (const key of ['adapter', 'initAdapter'] as const) {
    const text = options[key];
    if (text !== undefined) found[key] = (await find(text, 'adapter')).folder;
  }
  return { ...options, ...found, baseModel: name };
}

/** Copies tokenizer and generation files from a model folder into a saving, bytes untouched. Returns their names. */
export async function copyCompanions(
  from: string,
  saving: FolderSaving,
  names: readonly string[] = companionFiles,
): Promise<string[]> {
  const copied: string[] = [];
  for (const name of names) {
    const bytes = await readFile(join(from, name)).catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (bytes === undefined) continue;
    await saving.write(name, bytes);
    copied.push(name);
  }
  return copied;
}
