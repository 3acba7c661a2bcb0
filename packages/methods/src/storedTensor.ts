import { LowrankError } from '@lowrank/errors';
import type { Tensor } from '@lowrank/tensor';
import { tensor } from '@lowrank/tensor';
import type { MethodAdapter } from './method.js';

/**
 * A tensor that a file holds, checked against the shape that the model wants. @throws LowrankError `methods.mismatch`
 */
export function storedTensor({ tensors }: MethodAdapter, name: string, shape: readonly number[]): Tensor {
  const found = tensors.get(name);
  if (found === undefined || found.shape.join() !== shape.join())
    throw mismatch(name, `[${shape.join(', ')}]`, found === undefined ? 'nothing' : `[${found.shape.join(', ')}]`);
  return tensor(found.data, shape, { name });
}

export function mismatch(what: string, expected: string, got: string): LowrankError {
  return new LowrankError({
    code: 'methods.mismatch',
    what: `${what} in adapter_model.safetensors`,
    expected,
    got,
    remedy: 'Use the base model that it was trained on, and its own adapter_config.json.',
  });
}
