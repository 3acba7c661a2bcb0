import { LowrankError } from '@lowrank/errors';
import type { LoraAdapter, MergeDtype } from '@lowrank/lora';
import { mergeWeight, scalingAt } from '@lowrank/lora';

/** A tensor of a checkpoint: its name, dtype and shape, and its bytes when asked for. */
export interface CheckpointTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  read(): Promise<Uint8Array>;
}

/**
 * The tensors of a checkpoint with an adapter merged in, one at a time: W + s·B·A in W's dtype for the layers that the adapter has, the very bytes for all others.
 *
 * W is [out, in], or [in, out] (Conv1D, embeddings): its shape tells, and where W is square, the adapter's `fanInFanOut`.
 *
 * @throws LowrankError `patch.adapterMismatch` for matrices that belong to no tensor or do not fit it, and `lora.mergeNotFinite`
 */
export function mergedTensors(tensors: Iterable<CheckpointTensor>, { config, layers, whole = new Map() }: LoraAdapter): CheckpointTensor[] {
  const tables = new Map([...whole].map(([name, table]) => [name.replace(/\.base_layer\.weight$/, ''), table]));
  for (const path of tables.keys()) if (layers.get(path)?.embedding !== true) throw mismatch(`${path}, saved whole`, 'matrices alone');
  const left = new Set(layers.keys());
  const merged = [...tensors].map((tensor): CheckpointTensor => {
    const path = tensor.name.replace(/\.weight$/, '');
    const matrices = layers.get(path);
    if (matrices === undefined || path === tensor.name) return tensor;
    left.delete(path);
    const { name, dtype, shape } = tensor;
    const { inFeatures, outFeatures } = matrices;
    const transposed = matrices.embedding === true || (inFeatures === outFeatures ? config.fanInFanOut === true : shape[0] === inFeatures);
    if (shape.join() !== (transposed ? [inFeatures, outFeatures] : [outFeatures, inFeatures]).join() || !isMergeDtype(dtype)) {
      throw mismatch(`${dtype} [${shape.join(', ')}] for ${name}`, `F32, F16 or BF16 of [${outFeatures}, ${inFeatures}], or of [${inFeatures}, ${outFeatures}] as Conv1D and embeddings have it`);
    }
    const table = tables.get(path);
    if (table !== undefined && (table.dtype !== dtype || table.shape.join() !== shape.join())) throw mismatch(`${table.dtype} [${table.shape.join(', ')}] for ${name}, saved whole`, `${dtype} [${shape.join(', ')}]`);
    return { name, dtype, shape, read: async () => mergeWeight(table?.data ?? (await tensor.read()), dtype, { ...matrices, scaling: scalingAt(config, path), transposed, narrowDelta: matrices.embedding === true }) };
  });
  if (left.size > 0) throw mismatch(`matrices for ${[...left].slice(0, 6).join(', ')}, which the model does not have`, 'layers of this model');
  return merged;
}

function isMergeDtype(dtype: string): dtype is MergeDtype {
  return dtype === 'F32' || dtype === 'F16' || dtype === 'BF16';
}

function mismatch(got: string, expected: string): LowrankError {
  return new LowrankError({ code: 'patch.adapterMismatch', what: 'merging the adapter', expected, got, remedy: 'Use the base model that the adapter was trained on.' });
}
