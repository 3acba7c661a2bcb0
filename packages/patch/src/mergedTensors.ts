import { LowrankError } from '@lowrank/errors';
import type { LoraAdapter, LoraConfig, LoraMatrices, WholeTensor } from '@lowrank/lora';
import { beginsInBase, mergeWeight, scalingAt, variantOf } from '@lowrank/lora';
import { fromNumbers, toFloat32 } from '@lowrank/tensor';
import { hostArray } from '@lowrank/tensor/op';
import { dtypeOfFile, isMergeDtype } from './fileDtypes.js';
import type { CheckpointTensor } from './checkpointTensors.js';
import { idsAt, isReplaced, mismatch, replaced, withRows } from './checkpointTensors.js';

export type { CheckpointTensor } from './checkpointTensors.js';

/**
 * The tensors of a checkpoint with an adapter merged in, one at a time: W + s·B·A (with DoRA also scaled) in W's dtype
 * for the layers that the adapter has, biases that it changes, modules that it has whole, token rows that it has
 * trained, the very bytes for all others.
 *
 * W is [out, in], or [in, out] (Conv1D, embeddings): its shape decides, or the adapter's `fanInFanOut` where W
 * is square.
 *
 * @throws LowrankError `patch.adapterMismatch` for matrices that belong to no tensor or do not fit it,
 * `patch.mergeInit` for one that began as a part of W and was not converted, and `lora.mergeNotFinite`
 */
export function mergedTensors(tensors: Iterable<CheckpointTensor>, adapter: LoraAdapter): CheckpointTensor[] {
  const { config } = adapter;
  if (beginsInBase(config.init)) {
    throw new LowrankError({
      code: 'patch.mergeInit',
      what: 'merging the adapter',
      expected: 'plain LoRA',
      got: `one that began as ${config.init}, a part of the base that is not in its files`,
      remedy: 'Load it into its base and save it (loadAdapter, saveAdapter): that gives plain LoRA.',
    });
  }
  const kinds = changesOf(adapter);
  const merged = [...tensors].map((tensor): CheckpointTensor => {
    const kind = kinds.find(({ changes }) => changes.has(tensor.name));
    const change = kind?.changes.get(tensor.name);
    kind?.changes.delete(tensor.name);
    return change === undefined ? tensor : change(tensor);
  });
  for (const { changes, lost, expected } of [...kinds].reverse())
    if (changes.size > 0)
      throw mismatch(`${lost([...changes.keys()].slice(0, 6))}, which the model does not have`, expected);
  return merged;
}

type Change = (tensor: CheckpointTensor) => CheckpointTensor;

/** Changes of one kind, by the name of the tensor they change. */
interface Changes {
  readonly changes: Map<string, Change>;
  /** Describes those that no tensor of the model has. */
  readonly lost: (names: readonly string[]) => string;
  readonly expected: string;
}

/** All that an adapter changes; where two kinds have one name, the first counts. */
function changesOf({ config, layers, whole: all = new Map(), tokens = new Map() }: LoraAdapter): Changes[] {
  const saved = [...all].filter(([name]) => isReplaced(name, config, layers));
  const whole = new Map([...all].filter(([name]) => !isReplaced(name, config, layers)));
  const tables = new Map(
    [...whole]
      .filter(([name]) => name.endsWith('.weight'))
      .map(([name, table]) => [name.replace(/\.base_layer\.weight$/, ''), table]),
  );
  const alone = [...tables].filter(([path]) => !layers.has(path));
  for (const [path] of alone)
    if (!whole.has(`${path}.base_layer.weight`)) throw mismatch(`${path}, saved whole`, 'matrices alone');
  const modules = [
    ...saved.map(([name, own]): [string, Change] => [name, (tensor) => replaced(tensor, own)]),
    ...alone.flatMap(([path, table]): [string, Change][] =>
      saved.some(([name]) => name === `${path}.weight`)
        ? []
        : [[`${path}.weight`, (tensor) => replaced(tensor, table)]],
    ),
    ...[...tokens].map(([path, rows]): [string, Change] => [
      `${path}.weight`,
      (tensor) => {
        const table = tables.get(path);
        const base = table === undefined ? tensor : replaced(tensor, table);
        return withRows(base, { ...rows, ids: idsAt(config, path) });
      },
    ]),
  ];
  const biases = [...biasesFor(config, layers, whole)].map(([name, bias]): [string, Change] => [
    name,
    (tensor) => mergedBias(tensor, bias),
  ]);
  const weights = [...layers].map(([path, matrices]): [string, Change] => [
    `${path}.weight`,
    (tensor) => mergedLayer(tensor, matrices, { config, path, table: tables.get(path) }),
  ]);
  const paths = (names: readonly string[]): string => names.map((name) => name.replace(/\.weight$/, '')).join(', ');
  return [
    { changes: new Map(modules), lost: (names) => names.join(', '), expected: 'modules of this model' },
    { changes: new Map(biases), lost: (names) => `biases for ${names.join(', ')}`, expected: 'layers of this model' },
    { changes: new Map(weights), lost: (names) => `matrices for ${paths(names)}`, expected: 'layers of this model' },
  ];
}

/** W + s·B·A, or what another variant makes of them. @param table saved along with an embedding, in place of W */
function mergedLayer(
  tensor: CheckpointTensor,
  matrices: LoraMatrices,
  { config, path, table }: { config: LoraConfig; path: string; table: WholeTensor | undefined },
): CheckpointTensor {
  const { name, dtype, shape } = tensor;
  const { inFeatures, outFeatures, embedding = false } = matrices;
  const isTurned = inFeatures === outFeatures ? config.fanInFanOut === true : shape[0] === inFeatures;
  const transposed = embedding || isTurned;
  const wanted = transposed ? [inFeatures, outFeatures] : [outFeatures, inFeatures];
  if (shape.join() !== wanted.join() || !isMergeDtype(dtype)) {
    throw mismatch(
      `${dtype} [${shape.join(', ')}] for ${name}`,
      `F32, F16 or BF16 of [${outFeatures}, ${inFeatures}], or of [${inFeatures}, ${outFeatures}] as ` +
        'Conv1D and embeddings have it',
    );
  }
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
        name: `${name}, merged`,
        scaling: scalingAt(config, path),
        variant: variantOf(config),
        transposed,
        narrowDelta: embedding,
      }),
  };
}

/** Another bias in a bias's place, and that of B added to it. */
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
