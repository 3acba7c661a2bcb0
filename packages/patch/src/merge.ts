import { LowrankError } from '@lowrank/errors';
import type { LoraAdapter, LoraConfig, WholeTensor } from '@lowrank/lora';
import { beginsInBase, mergeWeight, scalingAt, variantOf } from '@lowrank/lora';
import { fromNumbers, toFloat32 } from '@lowrank/tensor';
import { hostArray } from '@lowrank/tensor/op';
import { dtypeOfFile, isMergeDtype } from './fileDtypes.js';
import type { CheckpointTensor } from './mergeWhole.js';
import { idsAt, isReplaced, mismatch, replaced, withRows } from './mergeWhole.js';

export type { CheckpointTensor } from './mergeWhole.js';

/**
 * The tensors of a checkpoint with an adapter merged in, one at a time: W + s·B·A (with DoRA also scaled) in W's dtype
 * for the layers that the adapter has, biases that it changes, modules that it has whole, token rows that it has
 * trained, the very bytes for all others.
 *
 * W is [out, in], or [in, out] (Conv1D, embeddings): its shape tells, and where W is square, the adapter's
 * `fanInFanOut`.
 *
 * @throws LowrankError `patch.adapterMismatch` for matrices that belong to no tensor or do not fit it,
 * `patch.mergeInit` for one that began as a part of W and was not converted, and `lora.mergeNotFinite`
 */
export function mergedTensors(
  tensors: Iterable<CheckpointTensor>,
  { config, layers, whole: all = new Map(), tokens = new Map() }: LoraAdapter,
): CheckpointTensor[] {
  if (beginsInBase(config.init)) {
    throw new LowrankError({
      code: 'patch.mergeInit',
      what: 'merging the adapter',
      expected: 'plain LoRA',
      got: `one that began as ${config.init}, a part of the base that is not in its files`,
      remedy: 'Attach it to its base and extract it: that makes plain LoRA of it.',
    });
  }
  const saved = new Map([...all].filter(([name]) => isReplaced(name, config, layers)));
  const whole = new Map([...all].filter(([name]) => !saved.has(name)));
  const rows = new Map(
    [...tokens].map(([path, trained]) => [`${path}.weight`, { ...trained, ids: idsAt(config, path) }]),
  );
  const biases = biasesFor(config, layers, whole);
  const tables = new Map(
    [...whole]
      .filter(([name]) => name.endsWith('.weight'))
      .map(([name, table]) => [name.replace(/\.base_layer\.weight$/, ''), table]),
  );
  for (const path of tables.keys()) if (!layers.has(path)) throw mismatch(`${path}, saved whole`, 'matrices alone');
  const left = new Set(layers.keys());
  const merged = [...tensors].map((tensor): CheckpointTensor => {
    const [own, trained] = [saved.get(tensor.name), rows.get(tensor.name)];
    saved.delete(tensor.name);
    rows.delete(tensor.name);
    if (own !== undefined) return replaced(tensor, own);
    if (trained !== undefined) return withRows(tensor, trained);
    const bias = biases.get(tensor.name);
    if (bias !== undefined) {
      biases.delete(tensor.name);
      return mergedBias(tensor, bias);
    }
    const path = tensor.name.replace(/\.weight$/, '');
    const matrices = layers.get(path);
    if (matrices === undefined || path === tensor.name) return tensor;
    left.delete(path);
    const { name, dtype, shape } = tensor;
    const { inFeatures, outFeatures } = matrices;
    const transposed =
      matrices.embedding === true ||
      (inFeatures === outFeatures ? config.fanInFanOut === true : shape[0] === inFeatures);
    if (
      shape.join() !== (transposed ? [inFeatures, outFeatures] : [outFeatures, inFeatures]).join() ||
      !isMergeDtype(dtype)
    ) {
      throw mismatch(
        `${dtype} [${shape.join(', ')}] for ${name}`,
        `F32, F16 or BF16 of [${outFeatures}, ${inFeatures}], or of [${inFeatures}, ${outFeatures}] as ` +
          'Conv1D and embeddings have it',
      );
    }
    const table = tables.get(path);
    if (table !== undefined && (table.dtype !== dtype || table.shape.join() !== shape.join()))
      throw mismatch(
        `${table.dtype} [${table.shape.join(', ')}] for ${name}, saved whole`,
        `${dtype} [${shape.join(', ')}]`,
      );
    return {
      name,
      dtype,
      shape,
      read: async () =>
        mergeWeight(table?.data ?? (await tensor.read()), dtype, {
          ...matrices,
          scaling: scalingAt(config, path),
          variant: variantOf(config),
          transposed,
          narrowDelta: matrices.embedding === true,
        }),
    };
  });
  if (left.size > 0)
    throw mismatch(
      `matrices for ${[...left].slice(0, 6).join(', ')}, which the model does not have`,
      'layers of this model',
    );
  if (biases.size > 0)
    throw mismatch(
      `biases for ${[...biases.keys()].slice(0, 6).join(', ')}, which the model does not have`,
      'layers of this model',
    );
  const lost = [...saved.keys(), ...rows.keys()];
  if (lost.length > 0)
    throw mismatch(`${lost.slice(0, 6).join(', ')}, which the model does not have`, 'modules of this model');
  return merged;
}

/** What becomes of a bias: another in its place, and that of B added to it. */
interface BiasChange {
  readonly saved?: WholeTensor | undefined;
  readonly added?: Float32Array | undefined;
  readonly scaling: number;
}

function biasesFor(
  config: LoraConfig,
  layers: LoraAdapter['layers'],
  whole: ReadonlyMap<string, WholeTensor>,
): Map<string, BiasChange> {
  const changes = new Map<string, BiasChange>();
  for (const [name, saved] of whole)
    if (name.endsWith('.bias')) changes.set(name.replace('.base_layer.', '.'), { saved, scaling: 1 });
  for (const [path, { bias }] of layers)
    if (bias !== undefined)
      changes.set(`${path}.bias`, { ...changes.get(`${path}.bias`), added: bias, scaling: scalingAt(config, path) });
  return changes;
}

function mergedBias(tensor: CheckpointTensor, { saved, added, scaling }: BiasChange): CheckpointTensor {
  const { name, dtype, shape } = tensor;
  const [own, from] = [dtypeOfFile(dtype), dtypeOfFile(saved?.dtype ?? dtype)];
  const size = added?.length ?? shape[0];
  if (
    own === undefined ||
    from === undefined ||
    shape.length !== 1 ||
    shape[0] !== size ||
    (saved !== undefined && saved.shape.join() !== shape.join())
  )
    throw mismatch(
      `${dtype} [${shape.join(', ')}] for ${name}`,
      `F32, F16 or BF16 of [${saved?.shape.join(', ') ?? size}]`,
    );
  return {
    name,
    dtype,
    shape,
    async read() {
      const values = toFloat32(hostArray(from, new Uint8Array(saved?.data ?? (await tensor.read())).buffer), from);
      const sum =
        added === undefined ? values : values.map((value, at) => value + Math.fround((added[at] ?? NaN) * scaling));
      const data = own === 'f32' ? sum : fromNumbers(sum, own);
      return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    },
  };
}
