import type { FolderSaving } from '@lowrank/files';
import { claimOutput } from '@lowrank/files';
import type { MergeBase, MergedModel } from '@lowrank/methods';
import { companionFiles, openFolder, outlineModel, outlineTaskModel } from '@lowrank/models';
import { writeSafetensors } from '@lowrank/safetensors';
import { readAdapterFolder } from '../adapterFolder.js';
import { configText } from '../configText.js';
import type { DenseWeights } from './denseWeights.js';
import { denseWeights } from './denseWeights.js';
import type { TransferEvents } from './folders.js';
import { copyCompanions, withFolders } from './folders.js';
import { openModel } from './openModel.js';
import type { OpenTask } from './openTask.js';
import { headOf, knownTask, openTask, requireTask, taskConfig } from './openTask.js';
import type { OutputOptions } from '../settings/methodTables.js';
import { mergedEntries } from './mergedEntries.js';
import { saveInto } from './saveInto.js';
import { ownTokenizer } from './tokenizerFiles.js';

export interface MergeOptions extends TransferEvents, OutputOptions {
  readonly model: string;
  readonly adapter: string;
  readonly output: string;
}

/** What `lowrank merge` prints. */
export interface MergeResult {
  /** The folder that was written. */
  readonly model: string;
  /** Layers that were changed. */
  readonly merged: number;
  /** Tensors written. */
  readonly tensors: number;
}

/**
 * Folds an adapter folder into a model folder: W + s·B·A in the dtype of W, on the host, one tensor at a time; every
 * other tensor keeps its bytes. The result is a Hugging Face folder of one file of weights. Of the other methods those
 * that change weights can be merged too. A quantized W is dequantized to the dtype that it had, and stays so:
 * quantizing the sum again would lose what was learned.
 */
export async function mergeFolders(given: MergeOptions): Promise<MergeResult> {
  const { model, adapter, output } = await withFolders(given, given);
  const claim = await claimOutput(output, { inputs: [model, adapter], overwrite: given.overwrite });
  return saveInto(claim, 'config.json', async (saving) => {
    const { method, stored } = await readAdapterFolder(adapter, { onWarning: given.onWarning });
    const task = await taskOfMerge(model, adapter);
    const head = task && headOf(task);
    const dense = await denseWeights(model, head);
    const base: MergeBase = {
      config: task === undefined ? dense.config : taskConfig(dense.config, task),
      tensors: dense.tensors,
      outline: (config) =>
        config === undefined
          ? dense.outline
          : head === undefined
            ? outlineModel(config)
            : outlineTaskModel(config, head),
      onWarning: given.onWarning,
      load: async () => (await (task === undefined ? openModel(model, given) : openTask(model, task, given))).module,
    };
    const merged = await method.merge(stored, base);
    const tensors = await writeModel(merged, dense, { from: model, adapter, saving });
    return { model: output, merged: merged.changed, tensors };
  });
}

/** What the merged model is for, where that is not writing text: as the adapter says, else the model. */
async function taskOfMerge(model: string, adapter: string): Promise<Pick<OpenTask, 'task' | 'labels'> | undefined> {
  const { task, labels, isEncoder } = await knownTask({ model, adapter });
  if (task === undefined && !isEncoder) return undefined;
  const needed = requireTask(task, adapter);
  return { task: needed, labels: labels ?? needed.labels([], undefined) };
}

/** Writes a merged model with the other files of the folder it came from. Returns how many tensors it has. */
async function writeModel(
  { tensors, config }: MergedModel,
  dense: DenseWeights,
  { from, adapter, saving }: { readonly from: string; readonly adapter: string; readonly saving: FolderSaving },
): Promise<number> {
  const entries = mergedEntries(tensors, dense);
  const metadata = { format: 'pt', ...dense.metadata };
  await saving.write('model.safetensors', writeSafetensors(entries, metadata));
  const ofAdapter = await ownTokenizer(adapter);
  await copyCompanions(
    from,
    saving,
    companionFiles.filter((name) => !Object.hasOwn(ofAdapter, name)),
  );
  for (const [name, text] of Object.entries(ofAdapter)) await saving.write(name, text);
  if (!dense.changed && config === dense.config) await copyCompanions(from, saving, ['config.json']);
  else {
    const own = await (await openFolder(from)).file('config.json');
    const text = own === undefined ? '' : new TextDecoder().decode(await own.read(0, await own.size()));
    await saving.write('config.json', configText(config, text));
  }
  return entries.length;
}
