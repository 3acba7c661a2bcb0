import type { Tensor } from '@lowrank/tensor';

/**
 * Where an architecture takes its weights from, by the checkpoint's names below some prefix. It asks for each once, saying the shape it needs; what is asked for and missing, or
 * misshapen, or there and not asked for, is reported when all have been asked.
 */
export interface WeightSource {
  /** A matrix in the dtype it is stored in: f32, f16 or bf16. */
  matrix(name: string, shape: readonly number[]): Tensor;
  /** A norm's or a bias's vector, in f32. */
  vector(name: string, shape: readonly number[]): Tensor;
  /** The same source, below `name.`. */
  under(name: string): WeightSource;
}

/** What a model asked for, by full name. */
export interface WeightRequest {
  readonly name: string;
  readonly shape: readonly number[];
  readonly kind: 'matrix' | 'vector';
}

/** A source that notes requests and gives each a tensor from `make`. */
export function weightSource(make: (request: WeightRequest) => Tensor, prefix = ''): WeightSource {
  return {
    matrix: (name, shape) => make({ name: prefix + name, shape, kind: 'matrix' }),
    vector: (name, shape) => make({ name: prefix + name, shape, kind: 'vector' }),
    under: (name) => weightSource(make, `${prefix}${name}.`),
  };
}
