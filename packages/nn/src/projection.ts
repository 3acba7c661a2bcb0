import type { Tensor } from '@lowrank/tensor';
import type { EncodedMatrix, ProductTerm } from '@lowrank/tensor/op';
import { add, full, linear, reshape } from '@lowrank/tensor';
import type { Module } from './module.js';
import type { Parameter } from './parameter.js';

/** y = x·Wᵀ + Σ h·Bᵀ in its parts: W [out, in], dense or in codes, and terms of few columns. */
export interface ProjectionParts {
  readonly weight: Tensor | EncodedMatrix;
  readonly terms: readonly ProductTerm[];
}

/**
 * A linear layer that can be taken apart, for those who multiply piece by piece: the loss over an output projection,
 * whose logits never exist as a whole.
 */
export interface Projection extends Module {
  /** x [N, in] */
  parts(x: Tensor): ProjectionParts;
}

/** Whether a module gives its product in parts, which a fused loss takes. */
export function isProjection(module: Module): module is Projection {
  return 'parts' in module && typeof module.parts === 'function';
}

/** The parts put together: [N, in] → [N, out]. */
export function projected(x: Tensor, { weight, terms }: ProjectionParts): Tensor {
  return terms.reduce((y, { h, b }) => add(y, linear(h, b)), linear(x, weight));
}

/** A bias [out] as a term: ones [N, 1] times it. */
export function biasTerms(x: Tensor, bias: Parameter | undefined): ProductTerm[] {
  return bias === undefined
    ? []
    : [{ h: full([x.shape[0] ?? 0, 1], 1), b: reshape(bias.tensor, [bias.tensor.size, 1]) }];
}
