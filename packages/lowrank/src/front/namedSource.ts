import { findModel, openFolder } from '@lowrank/models';
import type { FoundFiles, SourceOptions } from './foundFiles.js';

/** The files that a text names, on disk: a folder, or what the hub's own cache has or gets. */
export async function findNamed(text: string, kind: 'model' | 'adapter', options: SourceOptions): Promise<FoundFiles> {
  const { onDownload, ...others } = options;
  const { name, folder } = await findModel(text, { kind, ...others, onProgress: onDownload });
  return { name, files: await openFolder(folder) };
}
