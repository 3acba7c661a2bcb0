import type { LinearLike, Projection, ProjectionParts } from '@lowrank/nn';
import { isProjection, Module } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';

/** Stands in a layer's place while something is traced, and notes what comes in. */
class Probe extends Module implements LinearLike, Projection {
  constructor(
    private readonly inner: LinearLike,
    private readonly note: (x: Tensor) => void,
  ) {
    super();
    this.child('probed', inner);
  }

  get inFeatures(): number {
    return this.inner.inFeatures;
  }

  get outFeatures(): number {
    return this.inner.outFeatures;
  }

  forward(x: Tensor): Tensor {
    this.note(x);
    return this.inner.forward(x);
  }

  /** Of an output projection. */
  parts(x: Tensor): ProjectionParts {
    this.note(x);
    if (!isProjection(this.inner)) throw new TypeError(`${this.inner.constructor.name} is no output projection`);
    return this.inner.parts(x);
  }
}

/**
 * What the layers at some paths get as inputs while `fn` traces a forward pass: one tensor for each call. Layers that
 * are fed by one tensor get that same tensor. Afterwards the model is as it was, also where `fn` throws.
 */
export function seenInputs(
  model: Module,
  layers: ReadonlyMap<string, LinearLike>,
  fn: () => unknown,
): Map<string, Tensor[]> {
  const seen = new Map<string, Tensor[]>([...layers.keys()].map((path) => [path, []]));
  try {
    for (const [path, layer] of layers) model.setModule(path, new Probe(layer, (x) => seen.get(path)?.push(x)));
    fn();
  } finally {
    for (const [path, layer] of layers) model.setModule(path, layer);
  }
  return seen;
}
