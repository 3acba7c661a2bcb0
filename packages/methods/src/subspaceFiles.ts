import { LowrankError, shown } from '@lowrank/errors';
import type { ByteSource, TensorEntry } from '@lowrank/safetensors';
import { openSafetensors, serializeSafetensors } from '@lowrank/safetensors';
import type { Module } from '@lowrank/nn';
import { readTensor, tensor, toFloat32 } from '@lowrank/tensor';
import type { ProjectionName, Subspace, SubspaceSettings } from './injectSubspace.js';
import { injectSubspace, projections, removeSubspace } from './injectSubspace.js';

/** What `peft_type` says in a subspace's configuration. PEFT does not know it, and refuses. */
export const subspaceType = 'LOWRANK_SUBSPACE';

/** A trained subspace on the host: with its settings, and the model it was made for, all that the weights are. */
export interface StoredSubspace {
  readonly settings: SubspaceSettings;
  readonly z: Float32Array;
  readonly scales: Float32Array | undefined;
  /** D and the number of weights, to know another model by. */
  readonly size: number;
  readonly weights: number;
  readonly baseModel: string | undefined;
}

export async function extractSubspace(
  { settings, z, scales, size, weights }: Subspace,
  { baseModel }: { readonly baseModel?: string | undefined } = {},
): Promise<StoredSubspace> {
  const values = async (of: typeof z): Promise<Float32Array> => toFloat32(await readTensor(of.tensor), 'f32');
  return {
    settings,
    z: await values(z),
    scales: scales === undefined ? undefined : await values(scales),
    size,
    weights: weights.size,
    baseModel,
  };
}

/**
 * `adapter_config.json`, and `adapter_model.safetensors` with `subspace.z` [d] and, of a structure-aware one,
 * `subspace.scales` [layers].
 */
export function serializeSubspace({
  settings,
  z,
  scales,
  size,
  weights,
  baseModel,
}: StoredSubspace): Record<'adapter_config.json' | 'adapter_model.safetensors', Uint8Array> {
  const { dimension, projection, entries, seed, structureAware } = settings;
  const config = {
    base_model_name_or_path: baseModel ?? null,
    dimension,
    entries,
    inference_mode: true,
    peft_type: subspaceType,
    projection,
    seed,
    size,
    structure_aware: structureAware,
    task_type: 'CAUSAL_LM',
    weights,
  };
  const entry = (name: string, data: Float32Array): TensorEntry & { readonly data: Uint8Array } => ({
    name,
    dtype: 'F32',
    shape: [data.length],
    data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  });
  return {
    'adapter_model.safetensors': serializeSafetensors(
      [entry('subspace.z', z), ...(scales === undefined ? [] : [entry('subspace.scales', scales)])],
      { format: 'pt' },
    ),
    'adapter_config.json': new TextEncoder().encode(`${JSON.stringify(config, undefined, 2)}\n`),
  };
}

/** @throws LowrankError `methods.subspaceFile`, and safetensors' codes */
export async function readSubspace({
  config,
  weights,
  name,
}: {
  config: unknown;
  weights: ByteSource;
  name: string;
}): Promise<StoredSubspace> {
  const given = (typeof config === 'object' && config !== null ? config : {}) as Readonly<Record<string, unknown>>;
  const wrong = (what: string, expected: string, got: unknown): never => {
    throw new LowrankError({
      code: 'methods.subspaceFile',
      what: `${what} in ${name}`,
      expected,
      got: shown(got),
      remedy: 'Train the subspace again, or fetch its files again.',
    });
  };
  const whole = (key: string, least: number): number => {
    const value = given[key];
    return Number.isSafeInteger(value) && (value as number) >= least
      ? (value as number)
      : wrong(key, `a whole number of at least ${least}`, value);
  };
  if (given['peft_type'] !== subspaceType) wrong('peft_type', subspaceType, given['peft_type']);
  const projection =
    projections.find((known) => known === given['projection']) ??
    wrong('projection', projections.join(' or '), given['projection']);
  const structureAware =
    typeof given['structure_aware'] === 'boolean'
      ? given['structure_aware']
      : wrong('structure_aware', 'true or false', given['structure_aware']);
  const settings: SubspaceSettings = {
    dimension: whole('dimension', 1),
    projection: projection as ProjectionName,
    entries: whole('entries', 1),
    seed: whole('seed', 0),
    structureAware,
  };
  const file = await openSafetensors(weights);
  const vector = async (key: string): Promise<Float32Array> => {
    const info = file.tensors.get(key);
    if (info?.dtype !== 'F32' || info.shape.length !== 1)
      return wrong(key, 'a vector in F32', info === undefined ? undefined : { dtype: info.dtype, shape: info.shape });
    return new Float32Array(new Uint8Array(await file.read(key)).buffer);
  };
  const z = await vector('subspace.z');
  const scales = structureAware ? await vector('subspace.scales') : undefined;
  if (z.length + (scales?.length ?? 0) !== settings.dimension)
    wrong('subspace.z', `${settings.dimension} numbers in all, as its dimension is`, z.length + (scales?.length ?? 0));
  return {
    settings,
    z,
    scales,
    size: whole('size', 1),
    weights: whole('weights', 1),
    baseModel: typeof given['base_model_name_or_path'] === 'string' ? given['base_model_name_or_path'] : undefined,
  };
}

/**
 * Puts a stored subspace into the model it was made for. Train on from there, or `foldSubspace` to use it.
 *
 * @throws LowrankError `methods.subspaceModel` for a model of other weights
 */
export function loadSubspace(
  model: Module,
  { settings, z, scales, size, weights, baseModel }: StoredSubspace,
): Subspace {
  const subspace = injectSubspace(model, settings);
  if (
    subspace.size !== size ||
    subspace.weights.size !== weights ||
    (subspace.scales?.tensor.size ?? 0) !== (scales?.length ?? 0)
  ) {
    removeSubspace(subspace);
    throw new LowrankError({
      code: 'methods.subspaceModel',
      what: 'a subspace',
      expected:
        `the model it was made for${baseModel === undefined ? '' : `, ${baseModel}`}: ${weights} weights of ` +
        `${size} elements`,
      got: `${subspace.weights.size} weights of ${subspace.size} elements`,
    });
  }
  subspace.z.tensor.dispose();
  subspace.z.tensor = tensor(z, [z.length], { name: 'subspace.z' });
  if (subspace.scales !== undefined && scales !== undefined) {
    subspace.scales.tensor.dispose();
    subspace.scales.tensor = tensor(scales, [scales.length], { name: 'subspace.scales' });
  }
  return subspace;
}
