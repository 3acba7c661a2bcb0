import type { CombineOptions } from '@lowrank/lora';
import { combineAdapters } from '@lowrank/lora';
import { findModel } from '@lowrank/models';
import type { TransferEvents } from './folders.js';
import { readLoraFolder } from '../adapterFolder.js';
import type { OutputOptions } from '../settings/methodTables.js';
import { writeAdapter } from './writeAdapter.js';

export interface CombineFoldersOptions extends CombineOptions, TransferEvents, OutputOptions {
  /** Folders, hub ids or URLs, and how often each counts. */
  readonly adapters: readonly { readonly adapter: string; readonly weight: number }[];
  readonly output: string;
}

/** What `lowrank combine` prints. */
export interface CombineResult {
  /** The folder that was written. */
  readonly adapter: string;
  readonly method: string;
  readonly from: readonly { readonly adapter: string; readonly weight: number }[];
  /** The largest rank. */
  readonly r: number;
  readonly layers: number;
  readonly parameters: number;
  /** Of the file of weights. */
  readonly bytes: number;
}

/** Weighted adapters as one PEFT folder: `combineAdapters` over files. */
export async function combineFolders({
  adapters,
  output,
  overwrite,
  onTransfer,
  onWarning,
  ...options
}: CombineFoldersOptions): Promise<CombineResult> {
  const folders: string[] = [];
  for (const { adapter } of adapters)
    folders.push(
      (
        await findModel(adapter, {
          kind: 'adapter',
          onWarning,
          onProgress: (progress) => onTransfer?.({ stage: 'downloading', ...progress }),
        })
      ).folder,
    );
  const sources = [];
  for (const [at, { adapter: name, weight }] of adapters.entries())
    sources.push({ adapter: await readLoraFolder(folders[at] ?? name, onWarning), weight, name });
  const combined = combineAdapters(sources, options);
  const bytes = await writeAdapter(combined, output, { inputs: folders, overwrite });
  const parameters = [...combined.layers.values()].reduce((sum, { a, b }) => sum + a.length + b.length, 0);
  return {
    adapter: output,
    method: options.method ?? 'cat',
    from: adapters.map(({ adapter, weight }) => ({ adapter, weight })),
    r: combined.config.r,
    layers: combined.layers.size,
    parameters,
    bytes,
  };
}
