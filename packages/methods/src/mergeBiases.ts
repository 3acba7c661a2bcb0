import { LowrankError } from '@lowrank/errors';
import type { CheckpointTensor } from '@lowrank/patch';
import { fromNumbers, toFloat32 } from '@lowrank/tensor';
import { hostArray } from '@lowrank/tensor/op';
import { biasShifts } from './biasShifts.js';
import type { MergeBase, MergedModel, MethodAdapter } from './method.js';

/** Keys of configs by which a family has biases that it mostly has not. */
const biasKeys = [[], ['attention_bias'], ['mlp_bias'], ['attention_bias', 'mlp_bias']] as const;

/**
 * Merges what BitFit has learned: b₀ + b, in the dtype of the model. Layers without a bias get one where the family's
 * config can say so (Llama's `attention_bias` and `mlp_bias`); biases that the config then calls for and that nothing
 * has trained are zero.
 *
 * @throws LowrankError `methods.noBias` where the family has no such biases, `methods.mismatch`
 */
export function mergeBiases(adapter: MethodAdapter, base: MergeBase): Promise<MergedModel> {
  const shifts = biasShifts(adapter);
  const { config, biases } = withBiases(base, [...shifts.keys()]);
  const names = new Set(base.tensors.map(({ name }) => name));
  const tensors = base.tensors.flatMap((tensor): CheckpointTensor[] => {
    const path = tensor.name.replace(/\.(weight|bias)$/, '');
    const shift = shifts.get(path);
    if (tensor.name === `${path}.bias`) return [shift === undefined ? tensor : shifted(tensor, shift)];
    const size =
      tensor.name === `${path}.weight` && !names.has(`${path}.bias`) ? biases.get(`${path}.bias`) : undefined;
    return size === undefined ? [tensor] : [tensor, newBias(tensor, `${path}.bias`, shift ?? new Float32Array(size))];
  });
  return Promise.resolve({ config, tensors, changed: shifts.size });
}

function shifted(tensor: CheckpointTensor, shift: Float32Array): CheckpointTensor {
  const { name, dtype, shape } = tensor;
  return {
    name,
    dtype,
    shape,
    async read() {
      const own = numbers(await tensor.read(), dtype);
      return bytesOf(
        own.map((value, at) => value + (shift[at] ?? NaN)),
        dtype,
      );
    },
  };
}

function newBias({ dtype }: CheckpointTensor, name: string, values: Float32Array): CheckpointTensor {
  return { name, dtype, shape: [values.length], read: () => Promise.resolve(bytesOf(values, dtype)) };
}

/** The config by which all these layers have biases, and all biases of its model with their sizes. */
function withBiases(
  base: MergeBase,
  paths: readonly string[],
): { config: MergeBase['config']; biases: ReadonlyMap<string, number> } {
  for (const keys of biasKeys) {
    const config =
      keys.length === 0 ? base.config : { ...base.config, ...Object.fromEntries(keys.map((key) => [key, true])) };
    const biases = new Map(
      [...base.outline(config).namedParameters()].flatMap(([name, { tensor }]): [string, number][] =>
        name.endsWith('.bias') ? [[name, tensor.size]] : [],
      ),
    );
    if (paths.every((path) => biases.has(`${path}.bias`))) return { config, biases };
  }
  throw new LowrankError({
    code: 'methods.noBias',
    what: `merging BitFit into a ${String(base.config['model_type'])}`,
    expected: 'a family whose config can say that its linear layers have biases',
    got: 'one that has none for all of those that were trained',
    remedy: 'Leave the adapter unmerged.',
  });
}

function numbers(bytes: Uint8Array, dtype: string): Float32Array {
  const stored = { F32: 'f32', F16: 'f16', BF16: 'bf16' }[dtype] as 'f32' | 'f16' | 'bf16';
  return toFloat32(hostArray(stored, new Uint8Array(bytes).buffer), stored);
}

function bytesOf(values: Float32Array, dtype: string): Uint8Array {
  const data = dtype === 'F16' || dtype === 'BF16' ? fromNumbers(values, dtype === 'F16' ? 'f16' : 'bf16') : values;
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
