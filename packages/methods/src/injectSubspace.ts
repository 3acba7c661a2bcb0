import { LowrankError } from '@lowrank/errors';
import type { Module, TrainedParameter } from '@lowrank/nn';
import { Parameter } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { add, cast, fromNumbers, mul, readTensor, reshape, tensor, toFloat32 } from '@lowrank/tensor';
import { scope, viewAt } from '@lowrank/tensor/op';
import { fastfoodProjection } from './subspaceFastfood.js';
import type { SubspaceProjection } from './subspaceProjection.js';
import { sparseProjection } from './subspaceSparse.js';

/** The projections of random subspaces. */
export const projections = ['sparse', 'fastfood'] as const;
/** How P of a random subspace is made: `sparse` or `fastfood`. */
export type ProjectionName = (typeof projections)[number];

/** A random subspace: θ = θ₀ + P·z, of which only z (d numbers) is trained (Li et al. 2018; Aghajanyan et al. 2020). */
export interface SubspaceSettings {
  /** d: what is trained, the scales of layers among it. */
  readonly dimension: number;
  readonly projection: ProjectionName;
  /** Coordinates that a weight of the sparse projection is the sum of. */
  readonly entries: number;
  readonly seed: number;
  /** A learned scale for each layer, out of d (the paper's SAID). */
  readonly structureAware: boolean;
}

/** Options of `injectSubspace`. */
export interface SubspaceOptions extends Partial<SubspaceSettings> {
  readonly dimension: number;
  /** Which weights move, by path; all by default. */
  readonly choose?: ((path: string) => boolean) | undefined;
}

/** A subspace that a model's weights lie in. */
export interface Subspace {
  readonly settings: SubspaceSettings;
  /** z, zero at first; and with `structureAware` the scales λ, one at first. What is trained, and all that is saved. */
  readonly z: Parameter;
  readonly scales: Parameter | undefined;
  readonly parameters: readonly TrainedParameter[];
  /** Paths of the weights that move; a tied one once. */
  readonly weights: ReadonlyMap<string, Parameter>;
  /** D: their elements. */
  readonly size: number;
  /** P. */
  readonly projection: SubspaceProjection;
}

/**
 * Makes a model's weights θ = θ₀ + P·z, or θ_l = θ₀_l + λ_l·(P·z)_l: the random subspaces of Li et al. (2018),
 * structure-aware as Aghajanyan et al. (2020) have it. P [D, d] is fixed and random, z [d] is what is trained. θ₀ stays
 * as it is stored (f32, f16 or bf16), neither copied nor trained; each weight is computed, in f32, where a layer reads
 * it. Quantized matrices are no parameters and do not move.
 *
 * Tables cost 8 bytes a weight and entry (sparse) or 16 bytes a weight (fastfood) on the device; a matrix [D, d] never
 * exists.
 *
 * @throws LowrankError `methods.subspace`
 */
export function injectSubspace(model: Module, { choose, ...options }: SubspaceOptions): Subspace {
  const settings: SubspaceSettings = { projection: 'sparse', entries: 1, seed: 0, structureAware: false, ...options };
  const weights = movable(model, choose ?? (() => true));
  const layers = settings.structureAware ? [...new Set([...weights.keys()].map(layerOf))] : [];
  checkSettings(settings, layers.length);
  const length = settings.dimension - layers.length;
  const z = new Parameter(tensor(new Float32Array(length), [length], { name: 'subspace.z' }));
  const scales = settings.structureAware
    ? new Parameter(tensor(new Float32Array(layers.length).fill(1), [layers.length], { name: 'subspace.scales' }))
    : undefined;
  const projection = projectionOf({ ...settings, dimension: length });
  let [index, offset] = [0, 0];
  for (const [path, parameter] of weights) {
    const { shape, size } = parameter.tensor;
    const rows = projection.rowsOf({ index: index++, offset, size });
    offset += size;
    const layer = layers.indexOf(layerOf(path));
    const moved = (): Tensor =>
      scales === undefined ? rows(z.tensor) : mul(rows(z.tensor), viewAt(scales.tensor, layer, [1]));
    parameter.derive((stored) => scope('subspace', () => add(cast(stored, 'f32'), reshape(moved(), shape))));
  }
  const parameters = [
    { name: 'subspace.z', parameter: z },
    ...(scales === undefined ? [] : [{ name: 'subspace.scales', parameter: scales }]),
  ];
  return { settings, z, scales, parameters, weights, size: offset, projection };
}

/** Removes a subspace: the model is what it was. Frees z, the scales and the projection's tables. */
export function removeSubspace({ weights, parameters, projection }: Subspace): void {
  for (const parameter of weights.values()) parameter.derive(undefined);
  for (const { parameter } of parameters) parameter.tensor.dispose();
  projection.dispose();
}

/**
 * Makes the moved weights the model's own, weight by weight, in the dtype they are stored in (or in f32), so that it
 * costs nothing to use from then on. The subspace is removed. The model's data has to lie on a backend, or a default
 * one to be set.
 */
export async function foldSubspace(
  subspace: Subspace,
  { dtype }: { readonly dtype?: 'stored' | 'f32' } = {},
): Promise<void> {
  for (const parameter of subspace.weights.values()) {
    const { stored, tensor: moved } = parameter;
    const values = toFloat32(await readTensor(moved), 'f32');
    const kept = dtype === 'stored' && (stored.dtype === 'f16' || stored.dtype === 'bf16') ? stored.dtype : 'f32';
    parameter.derive(undefined);
    parameter.tensor = tensor(kept === 'f32' ? values : fromNumbers(values, kept), stored.shape, {
      dtype: kept,
      name: 'folded',
    });
    stored.dispose();
  }
  removeSubspace(subspace);
}

function movable(model: Module, choose: (path: string) => boolean): Map<string, Parameter> {
  const seen = new Set<Parameter>();
  const weights = new Map<string, Parameter>();
  for (const [path, parameter] of model.namedParameters()) {
    if (!parameter.trainable || seen.has(parameter) || !choose(path)) continue;
    seen.add(parameter);
    if (parameter.isDerived)
      throw new LowrankError({
        code: 'methods.subspace',
        what: `the weight ${path}`,
        expected: 'a stored weight',
        got: 'one that is already computed from another',
        remedy: 'Remove the other subspace first: removeSubspace.',
      });
    if (!['f32', 'f16', 'bf16'].includes(parameter.stored.dtype))
      throw new LowrankError({
        code: 'methods.subspace',
        what: `the weight ${path}`,
        expected: 'f32, f16 or bf16',
        got: parameter.stored.dtype,
      });
    weights.set(path, parameter);
  }
  if (weights.size > 0) return weights;
  throw new LowrankError({
    code: 'methods.subspace',
    what: 'the weights of a subspace',
    expected: 'at least one',
    got: 'none',
    remedy: 'Choose paths that the model has.',
  });
}

/** The numbered block that a weight is in, or the module that has it: 'model.layers.3', 'model.norm'. */
function layerOf(path: string): string {
  return /^(?:.*?\.)?\d+(?=\.)/.exec(path)?.[0] ?? path.slice(0, Math.max(0, path.lastIndexOf('.')));
}

function checkSettings({ dimension, entries, seed, structureAware }: SubspaceSettings, layers: number): void {
  const check = (good: boolean, what: string, expected: string, got: number): void => {
    if (!good) throw new LowrankError({ code: 'methods.subspace', what, expected, got: String(got) });
  };
  const least = structureAware ? layers + 1 : 1;
  check(
    Number.isSafeInteger(dimension) && dimension >= least && dimension < 2 ** 30,
    'the dimension of a subspace',
    structureAware
      ? `a whole number of at least ${least}: a scale for each of ${layers} layers, and one more`
      : 'a whole number of at least 1',
    dimension,
  );
  check(
    Number.isSafeInteger(entries) && entries >= 1,
    'the entries of a sparse projection',
    'a whole number of at least 1',
    entries,
  );
  check(
    Number.isSafeInteger(seed) && seed >= 0 && seed < 2 ** 32,
    'the seed of a subspace',
    'a whole number from 0 to 2³² − 1',
    seed,
  );
}

function projectionOf(settings: SubspaceSettings): SubspaceProjection {
  return settings.projection === 'sparse' ? sparseProjection(settings) : fastfoodProjection(settings);
}
