import { companionFiles, findModel, openFolder } from '@lowrank/models';
import type { LoadProgress } from '../front/loadingReporter.js';
import type { FolderSaving } from '@lowrank/files';
import { wholeOf } from './spool.js';

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
  const files = await openFolder(from);
  const copied: string[] = [];
  for (const name of names) {
    const source = await files.file(name);
    if (source === undefined) continue;
    await saving.write(name, wholeOf(source));
    copied.push(name);
  }
  return copied;
}
