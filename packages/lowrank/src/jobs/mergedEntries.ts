import { LowrankError } from '@lowrank/errors';
import type { CheckpointTensor } from '@lowrank/patch';
import type { TensorEntry } from '@lowrank/safetensors';
import { isSafetensorsDtype } from '@lowrank/safetensors';
import type { DenseWeights } from './denseWeights.js';

/** A merged model's tensors as its file has them, each read when it is written. @throws LowrankError `cli.dtype` */
export function mergedEntries(tensors: readonly CheckpointTensor[], dense: DenseWeights): TensorEntry[] {
  const nameOf = namesIn(dense);
  return tensors.map((tensor): TensorEntry => {
    const { dtype, shape } = tensor;
    const name = nameOf(tensor.name);
    if (!isSafetensorsDtype(dtype))
      throw new LowrankError({ code: 'cli.dtype', what: name, expected: 'a dtype of safetensors', got: dtype });
    return { name, dtype, shape, data: () => tensor.read() };
  });
}

/** A tensor's name in the file, by its path in the model; a new bias is named as its weight is. */
function namesIn({ tensors, names }: DenseWeights): (path: string) => string {
  const known = new Map(tensors.map(({ name }, at) => [name, names[at] ?? name]));
  return (path) =>
    known.get(path) ?? known.get(path.replace(/\.bias$/, '.weight'))?.replace(/\.weight$/, '.bias') ?? path;
}
