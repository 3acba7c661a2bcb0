import { LowrankError } from '@lowrank/errors';
import type { LoraAdapter, LoraConfig, TrainedRows, WholeTensor } from '@lowrank/lora';
import { tokenLists } from '@lowrank/lora';
import { fromNumbers, toFloat32 } from '@lowrank/tensor';
import { hostArray } from '@lowrank/tensor/op';
import { dtypeOfFile } from './fileDtypes.js';

/** A tensor of a checkpoint: its name, dtype and shape, and its bytes when asked for. */
export interface CheckpointTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  read(): Promise<Uint8Array>;
}

export function mismatch(got: string, expected: string): LowrankError {
  return new LowrankError({
    code: 'patch.adapterMismatch',
    what: 'merging the adapter',
    expected,
    got,
    remedy: 'Use the base model that the adapter was trained on.',
  });
}

/**
 * Whether a tensor saved whole belongs to a module that was trained whole: not an adapted layer's own table, nor a bias
 * of one.
 */
export function isReplaced(
  name: string,
  { modulesToSave = [], bias }: LoraConfig,
  layers: LoraAdapter['layers'],
): boolean {
  if (modulesToSave.length === 0 || name.includes('.base_layer.')) return false;
  return bias === 'none' || !name.endsWith('.bias') || !layers.has(name.slice(0, -'.bias'.length));
}

/** The tokens whose rows an adapter has trained at a path. */
export function idsAt({ trainableTokenIndices = [], peftType }: LoraConfig, path: string): readonly number[] {
  const lists = tokenLists(trainableTokenIndices);
  // An output projection that follows its embedding has the same.
  return (
    (
      lists.find(([name]) => name === undefined || path.endsWith(name)) ??
      (peftType === undefined ? undefined : lists[0])
    )?.[1] ?? []
  );
}

/** A tensor with other numbers, in its own dtype. */
export function replaced({ name, dtype, shape }: CheckpointTensor, saved: WholeTensor): CheckpointTensor {
  const [from, to] = [dtypeOfFile(saved.dtype), dtypeOfFile(dtype)];
  if (from === undefined || to === undefined || saved.shape.join() !== shape.join())
    throw mismatch(
      `${dtype} [${shape.join(', ')}] for ${name}, saved whole`,
      `${saved.dtype} [${saved.shape.join(', ')}]`,
    );
  return {
    name,
    dtype,
    shape,
    read: () =>
      new Promise((resolve) => {
        // Numbers that are not finite would spoil the model in silence.
        const values = finite(toFloat32(hostArray(from, new Uint8Array(saved.data).buffer), from), name, dtype);
        resolve(from === to ? new Uint8Array(saved.data) : bytesOf(fromNumbers(values, to)));
      }),
  };
}

/** A table [V, width] with some rows replaced. */
export function withRows(
  tensor: CheckpointTensor,
  { rows, width, ids }: TrainedRows & { readonly ids: readonly number[] },
): CheckpointTensor {
  const { name, dtype, shape } = tensor;
  const [last, own] = [ids.reduce((most, id) => Math.max(most, id), -1), dtypeOfFile(dtype)];
  if (
    own === undefined ||
    shape.length !== 2 ||
    shape[1] !== width ||
    rows.length !== ids.length * width ||
    last >= (shape[0] ?? 0)
  )
    throw mismatch(
      `${dtype} [${shape.join(', ')}] for ${name}, of which rows were trained`,
      `F32, F16 or BF16 of more than ${last} rows of ${width}`,
    );
  return {
    name,
    dtype,
    shape,
    async read() {
      const bytes = new Uint8Array(await tensor.read());
      const narrow = bytesOf(fromNumbers(finite(rows, name, dtype), own));
      const size = (narrow.byteLength / rows.length) * width;
      ids.forEach((id, at) => bytes.set(narrow.subarray(at * size, (at + 1) * size), id * size));
      return bytes;
    },
  };
}

function finite(values: Float32Array, name: string, dtype: string): Float32Array {
  if (values.every(Number.isFinite)) return values;
  throw new LowrankError({
    code: 'lora.mergeNotFinite',
    what: name,
    expected: `finite numbers in ${dtype}`,
    got: String(values.find((value) => !Number.isFinite(value))),
    remedy: 'The adapter is damaged.',
  });
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
