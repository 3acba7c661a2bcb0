import { LowrankError } from '@lowrank/errors';
import type { CausalModel } from '@lowrank/models';
import { openFolder, openModelWeights, outlineModel, readJson } from '@lowrank/models';
import { beginsInBase, LoraEmbedding } from '@lowrank/lora';
import type { LoraAdapter } from '@lowrank/lora';
import { Conv1d } from '@lowrank/nn';
import type { CheckpointTensor } from '@lowrank/patch';
import { adaptedLayers, extractAdapter, mergedTensors } from '@lowrank/patch';
import { dequantizedFile } from '@lowrank/quant';
import type { TensorEntry } from '@lowrank/safetensors';
import { isSafetensorsDtype, writeFileAtomic, writeSafetensors } from '@lowrank/safetensors';
import { join } from 'node:path';
import { openOutputFolder } from '../outputFolder.js';
import type { TransferEvents } from './folders.js';
import { copyCompanions, withFolders } from './folders.js';
import type { OpenModel } from './openModel.js';
import { openModel } from './openModel.js';
import { loadAdapterInto, readAdapterFolder } from './trainable.js';
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
 * Folds an adapter folder into a model folder: W + s·B·A in the dtype of W, on the host, one tensor at a time; every other tensor keeps its bytes. The result is a
 * Hugging Face folder of one file of weights. A quantized W is dequantized to the dtype that it had, and stays so: the sum quantized anew would lose what was learned.
 */
export async function mergeFolders(given: MergeOptions): Promise<MergeResult> {
  const { model, adapter, output } = await withFolders(given, given);
  const folder = await openOutputFolder(output, { inputs: [model, adapter] });
  try {
    // The model itself knows which weights it has and which layers the adapter is for; what does not fit is told before a byte is written.
    const base = await openModel(model, given);
    await loadAdapterInto(base, adapter);
    refuseTied(base);
    const read = await readAdapterFolder(adapter, given.onWarning);
    // One that began as a part of the base becomes plain LoRA.
    const loaded = beginsInBase(read.config.init) ? { ...read, ...(await extractAdapter(base.module, read.config)) } : read;
    const files = await openFolder(model);
    const { file: opened, pathOf } = await openModelWeights(files);
    const file = await dequantizedFile(opened);
    const stored = [...file.tensors.values()];
    // Adapters go by the model's paths, files by the names that they have.
    const { quantization_config: _, ...config } = await readJson(files, 'config.json');
    const outline = outlineModel(config);
    const transposed = transposedLayers(outline);
    const tensors = stored.map(({ name, dtype, shape }): CheckpointTensor => {
      const path = pathOf(name) ?? name;
      const tensor = { name: path, dtype, shape, read: () => file.read(name) };
      // Codes are of W as [out, in], whatever the layer holds that they stand for.
      return opened.tensors.get(name)?.dtype !== dtype && transposed.has(path.replace(/\.weight$/, '')) ? transposedTensor(tensor) : tensor;
    });
    // The model knows which way round its weights are; an adapter may have been trained over codes.
    const fanInFanOut = [...loaded.layers.keys()].some((path) => transposed.has(path));
    const ready = untie(outline, loaded, tensors);
    const entries = mergedTensors(ready.tensors, { ...ready.adapter, config: { ...loaded.config, fanInFanOut } }).map((tensor, at): TensorEntry => {
      const { dtype, shape } = tensor;
      const name = stored[at]?.name ?? tensor.name;
      if (!isSafetensorsDtype(dtype)) throw new LowrankError({ code: 'cli.dtype', what: name, expected: 'a dtype of safetensors', got: dtype });
      return { name, dtype, shape, data: () => tensor.read() };
    });
    await writeFileAtomic(join(output, 'model.safetensors'), writeSafetensors(entries, { format: 'pt', ...file.metadata }));
    await copyCompanions(model, output);
    if (file === opened && !ready.parted) await copyCompanions(model, output, ['config.json']);
    else {
      await writeFileAtomic(join(output, 'config.json'), new TextEncoder().encode(`${JSON.stringify(ready.parted ? { ...config, tie_word_embeddings: false } : config, null, 2)}\n`));
    }
    return { model: output, merged: loaded.layers.size + changedWhole(loaded), tensors: entries.length };
  } catch (error) {
    await folder.discard();
    throw error;
  }
}

/** Modules that the adapter has whole, or of which it has token rows. */
function changedWhole({ config, whole = new Map(), tokens = new Map() }: LoraAdapter): number {
  const saved = config.modulesToSave === undefined ? [] : [...whole.keys()].map((name) => name.slice(0, name.lastIndexOf('.'))).filter((path) => !path.endsWith('.base_layer'));
  return new Set([...saved, ...tokens.keys()]).size;
}

/** The layers that hold W as [in, out]. */
function transposedLayers(model: CausalModel): Set<string> {
  return new Set([...model.namedModules()].flatMap(([path, module]) => (module instanceof Conv1d ? [path] : [])));
}

function transposedTensor(tensor: CheckpointTensor): CheckpointTensor {
  const [rows = 0, columns = 0] = tensor.shape;
  return {
    name: tensor.name,
    dtype: tensor.dtype,
    shape: [columns, rows],
    async read() {
      const from = await tensor.read();
      const size = from.byteLength / (rows * columns);
      const to = new Uint8Array(from.byteLength);
      for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++) to.set(from.subarray((row * columns + column) * size, (row * columns + column + 1) * size), (column * rows + row) * size);
      return to;
    },
  };
}

/** An adapted embedding leaves an output projection that is tied to it alone; merged, it could not. */
function refuseTied({ module }: OpenModel): void {
  for (const [path, layer] of adaptedLayers(module)) {
    if (!(layer instanceof LoraEmbedding) || !module.isOutput(layer.base.weight)) continue;
    throw new LowrankError({ code: 'cli.tiedEmbedding', what: `merging into ${path}`, expected: 'an embedding of its own', got: 'one that is the output projection too', remedy: 'Keep the adapter beside the model: merged, it would change the output projection as well.' });
  }
}
