import type { Layer } from '@lowrank/nn';
import { Parameter } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { sub } from '@lowrank/tensor';

/** What a layer computes, without its bias if it has one. */
export function withoutBias(layer: Layer, y: Tensor): Tensor {
  const bias = 'bias' in layer && layer.bias instanceof Parameter ? layer.bias : undefined;
  return bias === undefined ? y : sub(y, bias.tensor);
}
