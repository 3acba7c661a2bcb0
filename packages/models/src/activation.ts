import type { Tensor } from '@lowrank/tensor';
import { gelu, geluTanh, relu, silu } from '@lowrank/tensor';
import type { ConfigReader } from './config.js';

/** By transformers' names, several of which mean one function. */
const activations: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  gelu,
  gelu_python: gelu,
  gelu_new: geluTanh,
  gelu_fast: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  gelu_python_tanh: geluTanh,
  relu,
  silu,
  swish: silu,
};

/** The function that a config names. @throws LowrankError `models.config` for one that there is not */
export function activationOf(config: ConfigReader, key: string, fallback: string): (x: Tensor) => Tensor {
  const name = config.string(key, fallback);
  return (
    (Object.hasOwn(activations, name) ? activations[name] : undefined) ??
    config.refuse(key, `one of ${Object.keys(activations).join(', ')}`)
  );
}
