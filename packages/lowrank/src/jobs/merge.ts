import { LowrankError } from '@lowrank/errors';
import { beginsInBase } from '@lowrank/lora';
import type { LoraAdapter } from '@lowrank/lora';
import { readMethod } from '@lowrank/methods';
import { openFolder, outlineFolder } from '@lowrank/models';
import { loadAdapter, mergedTensors, saveAdapter } from '@lowrank/patch';
import type { TensorEntry } from '@lowrank/safetensors';
import { openOutputFolder } from '@lowrank/files';
import { isSafetensorsDtype, writeFileAtomic, writeSafetensors } from '@lowrank/safetensors';
import { join } from 'node:path';
import { openAdapterFolder } from '../adapterFolder.js';
import { denseWeights } from './denseWeights.js';
import type { TransferEvents } from './folders.js';
import { copyCompanions, withFolders } from './folders.js';
import { openModel } from './openModel.js';
import { mergeBitfit } from './mergeBitfit.js';
import { isMethodFolder, readAdapterFolder, refuseMethod } from './trainable.js';
import { untie } from './untie.js';

export interface MergeOptions extends TransferEvents {
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
 * other tensor keeps its bytes. The result is a Hugging Face folder of one file of weights. Of the other methods BitFit
 * can be merged too. A quantized W is dequantized to the dtype that it had, and stays so: the sum quantized anew would
 * lose what was learned.
 */
export async function mergeFolders(given: MergeOptions): Promise<MergeResult> {
  const { model, adapter, output } = await withFolders(given, given);
  const folder = await openOutputFolder(output, { inputs: [model, adapter] });
  try {
    const learned = await openAdapterFolder(adapter);
    if (isMethodFolder(learned))
      return { model: output, ...(await mergeBitfit(await readMethod(learned), { model, output })) };
    refuseMethod(learned);
    const loaded = await fittingAdapter(await readAdapterFolder(adapter, given.onWarning), { ...given, model });
    const { tensors, names, metadata, config, quantized, outline, transposed } = await denseWeights(model);
    // The model knows which way round its weights are; an adapter may have been trained over codes.
    const fanInFanOut = [...loaded.layers.keys()].some((path) => transposed.has(path));
    const ready = untie(outline, loaded, tensors);
    const entries = mergedTensors(ready.tensors, { ...ready.adapter, config: { ...loaded.config, fanInFanOut } }).map(
      (tensor, at): TensorEntry => {
        const { dtype, shape } = tensor;
        const name = names[at] ?? tensor.name;
        if (!isSafetensorsDtype(dtype))
          throw new LowrankError({ code: 'cli.dtype', what: name, expected: 'a dtype of safetensors', got: dtype });
        return { name, dtype, shape, data: () => tensor.read() };
      },
    );
    await writeFileAtomic(join(output, 'model.safetensors'), writeSafetensors(entries, { format: 'pt', ...metadata }));
    await copyCompanions(model, output);
    if (!quantized && !ready.parted) await copyCompanions(model, output, ['config.json']);
    else {
      await writeFileAtomic(
        join(output, 'config.json'),
        new TextEncoder().encode(
          `${JSON.stringify(ready.parted ? { ...config, tie_word_embeddings: false } : config, null, 2)}\n`,
        ),
      );
    }
    return { model: output, merged: loaded.layers.size + changedWhole(loaded), tensors: entries.length };
  } catch (error) {
    await folder.discard();
    throw error;
  }
}

/**
 * The adapter as LoRA that can be added to the model's weights. The model itself knows which weights it has and which
 * layers the adapter is for, so what does not fit is an error before a byte is written, and without reading a weight.
 * Only what began as a part of the base (PiSSA, OLoRA) reads them, to become plain LoRA.
 */
async function fittingAdapter(adapter: LoraAdapter, options: MergeOptions): Promise<LoraAdapter> {
  if (!beginsInBase(adapter.config.init)) {
    await loadAdapter(await outlineFolder(await openFolder(options.model)), adapter);
    return adapter;
  }
  const { module } = await openModel(options.model, options);
  await loadAdapter(module, adapter);
  return { ...adapter, ...(await saveAdapter(module)) };
}

/** Modules that the adapter has whole, or of which it has token rows. */
function changedWhole({ config, whole = new Map(), tokens = new Map() }: LoraAdapter): number {
  const saved =
    config.modulesToSave === undefined
      ? []
      : [...whole.keys()]
          .map((name) => name.slice(0, name.lastIndexOf('.')))
          .filter((path) => !path.endsWith('.base_layer'));
  return new Set([...saved, ...tokens.keys()]).size;
}
