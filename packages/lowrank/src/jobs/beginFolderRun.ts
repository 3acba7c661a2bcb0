import { ownDisk } from '@lowrank/files';
import { beginRun } from '../runs/beginRun.js';
import type { AgainRun, BegunRun, PreparedRun } from '../runs/beginRun.js';
import { ReportFile } from '../runs/reportFile.js';
import type { RunInput } from '../runs/runInputs.js';
import { lookAt } from '../runs/runInputs.js';
import { checkOptions, checkValues } from '../settings/checkOptions.js';
import { TensorBoardFile } from '../tensorBoardFile.js';
import type { FineTuneFolderOptions } from './fineTuneOptions.js';
import { runOptions } from './fineTuneOptions.js';
import { withFolders } from './folders.js';

/** With folders on this machine for models and adapters. */
type WithFolders = FineTuneFolderOptions & { readonly baseModel: string };

/** A run of folders and files that is about to train. */
export type BegunFolderRun = BegunRun<FineTuneFolderOptions, WithFolders>;

/**
 * Begins a run of folders and files, or goes on with the one that `output` holds.
 *
 * @throws LowrankError what beginRun, checkOptions, checkValues and withFolders throw
 */
export function beginFolderRun(given: FineTuneFolderOptions, again?: AgainRun): Promise<BegunFolderRun> {
  return beginRun(given, {
    place: { disk: ownDisk, path: given.output },
    sources: [given.model],
    prepare,
    again,
    followers: {
      report: (options) => new ReportFile(options),
      board: (folder, warn) => TensorBoardFile.in(folder, warn),
    },
  });
}

async function prepare(filled: FineTuneFolderOptions): Promise<PreparedRun<WithFolders>> {
  checkOptions(filled);
  checkValues(filled, runOptions);
  const warnings: string[] = [];
  const options = await withFolders(filled, {
    onTransfer: filled.onTransfer,
    onWarning: (text) => void warnings.push(text),
  });
  for (const text of warnings) await filled.onEvent?.({ type: 'warning', text });
  const inputs: RunInput[] = [];
  for (const role of ['model', 'data', 'evalData', 'initAdapter', 'template'] as const) {
    const path = options[role];
    if (path !== undefined) inputs.push(await lookAt(role, path));
  }
  const { baseModel: model, data, evalData } = options;
  return { options, inputs, places: { model, data, ...(evalData === undefined ? {} : { evalData }) } };
}
