import { LowrankError } from '@lowrank/errors';
import type { SafetensorsDtype, TensorEntry } from '@lowrank/safetensors';
import { isSafetensorsDtype, safetensorsBytes, writeSafetensors } from '@lowrank/safetensors';
import type { Tensor } from '@lowrank/tensor';
import { fromNumbers, readTensor, toFloat32 } from '@lowrank/tensor';
import type { Method, MethodContext, MethodModel, OriginTensor } from './method.js';

/** A model's tensors as its file will hold them, each read when it is written. */
export type WeightEntries = readonly TensorEntry[];

/**
 * Full fine-tuning: every weight is trained. It saves a model: tensors under the names, in the order and in the dtypes
 * of the folder that the model came from. A copy of a tied output projection is left out, since training has left it
 * behind; parts that the model does not use, such as an image tower, go along as they are.
 */
export const fullFineTuning: Method<readonly [], WeightEntries> = {
  name: 'full',
  title: 'full fine-tuning',
  peftTypes: [],
  settings: [],
  saves: 'model',
  overCodes: false,
  keepsTables: true,
  resumes: false,
  learningRates: [1e-4, 3e-4, 1e-3],

  inject(model, _, context = {}) {
    return Promise.resolve({
      parameters: [...model.namedParameters()].map(([name, parameter]) => ({ name, parameter })),
      fileBytes: (dtype = 'F32') => modelBytes(model, dtype),
      extract: () => extractWeights(model, context),
      // Nothing was put into the model.
      remove: () => undefined,
    });
  },

  attach: () => Promise.reject(isModel()),
  read: () => Promise.reject(isModel()),
  write: (stored) => ({ 'model.safetensors': writeSafetensors(stored, { format: 'pt' }) }),
  optionsOf: () => ({}),
  merge: () => Promise.reject(isModel()),
};

function isModel(): LowrankError {
  return new LowrankError({
    code: 'methods.wholeModel',
    what: 'what full fine-tuning has saved',
    expected: 'an adapter',
    got: 'a model',
    remedy: 'Load its folder as a model.',
  });
}

async function extractWeights(model: MethodModel, { checkpoint }: MethodContext): Promise<WeightEntries> {
  const parameters = new Map(model.namedParameters());
  const origin = await checkpoint?.();
  if (origin === undefined)
    return [...parameters].map(([name, { tensor }]) => ({
      name,
      dtype: 'F32',
      shape: tensor.shape,
      data: () => bytesOf(tensor, 'F32'),
    }));
  if (model.taskType !== undefined && model.taskType !== 'CAUSAL_LM') return taskEntries(model, origin);
  return origin.flatMap((tensor): TensorEntry[] => {
    const { name, dtype, shape, path } = tensor;
    const parameter = path === undefined ? undefined : parameters.get(path);
    // A table whose tokens were resized has another number of rows than the origin's.
    const rows = shape.length === 2 && name.endsWith('.weight') ? parameter?.tensor.shape : undefined;
    if (parameter !== undefined)
      return [{ name, dtype, shape: rows ?? shape, data: () => bytesOf(parameter.tensor, dtype) }];
    return path === undefined && isSafetensorsDtype(dtype) ? [{ name, dtype, shape, data: () => tensor.read() }] : [];
  });
}

/** Of a model for a task: all that it has and nothing else, a new head in f32, under the names of its class. */
function taskEntries(model: MethodModel, origin: readonly OriginTensor[]): TensorEntry[] {
  const dtypes = new Map(origin.map(({ path, dtype }) => [path, dtype]));
  return [...new Map(model.namedParameters())].map(([path, { tensor }]) => {
    const dtype = dtypes.get(path) ?? 'F32';
    const name = model.storedName?.(path) ?? path;
    return { name, dtype, shape: tensor.shape, data: () => bytesOf(tensor, dtype) };
  });
}

async function bytesOf(value: Tensor, dtype: SafetensorsDtype): Promise<Uint8Array> {
  const values = toFloat32(await readTensor(value), value.dtype);
  const data = dtype === 'F16' || dtype === 'BF16' ? fromNumbers(values, dtype === 'F16' ? 'f16' : 'bf16') : values;
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function modelBytes(model: MethodModel, dtype: 'F32' | 'BF16'): number {
  const once = new Map([...model.namedParameters()].map(([name, parameter]) => [parameter, name]));
  const entries = [...once].reverse().map(([{ tensor }, name]) => ({ name, dtype, shape: tensor.shape }));
  return safetensorsBytes(entries, { format: 'pt' });
}
