import { LowrankError, shown } from '@lowrank/errors';
import type { ByteSource, TensorEntry } from '@lowrank/safetensors';
import { openSafetensors, serializeSafetensors } from '@lowrank/safetensors';
import type { Module } from '@lowrank/nn';
import { readTensor, tensor, toFloat32 } from '@lowrank/tensor';
import { headOf, hostTensor } from './appliedMethod.js';
import type { MethodModel, MethodTensor } from './method.js';
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
  /** PEFT's name of the model's task, null where it has none; undefined for a model that writes text. */
  readonly taskType?: string | null | undefined;
  /** θ₀ of the task's head by its names in PEFT's files: it is random, and the base's files do not hold it. */
  readonly head?: ReadonlyMap<string, MethodTensor> | undefined;
}

/** What a subspace has learned; with the `model` of a task, what its head began as too. */
export async function extractSubspace(
  { settings, z, scales, size, weights }: Subspace,
  { baseModel, model }: { readonly baseModel?: string | undefined; readonly model?: MethodModel | undefined } = {},
): Promise<StoredSubspace> {
  const values = async (of: typeof z): Promise<Float32Array> => toFloat32(await readTensor(of.tensor), 'f32');
  const head = new Map<string, MethodTensor>();
  if (model !== undefined) for (const [name, { stored }] of headOf(model)) head.set(name, await hostTensor(stored));
  return {
    taskType: model?.taskType,
    head,
    settings,
    z: await values(z),
    scales: scales === undefined ? undefined : await values(scales),
    size,
    weights: weights.size,
    baseModel,
  };
}

/** Before the names of what a head began as. */
const initial = 'initial.';
const inPeft = 'base_model.model.';

/** The name in the file of what a parameter of the head began as, by the parameter's name in PEFT's files. */
export function initialName(name: string): string {
  return initial + name.slice(inPeft.length);
}

/**
 * `adapter_config.json`, and `adapter_model.safetensors` with `subspace.z` [d], of a structure-aware one
 * `subspace.scales` [layers], and of a task's model `initial.<path>`, what its head began as.
 */
export function serializeSubspace({
  settings,
  z,
  scales,
  size,
  weights,
  baseModel,
  taskType,
  head = new Map(),
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
    task_type: taskType === undefined ? 'CAUSAL_LM' : taskType,
    weights,
  };
  const entry = (
    name: string,
    data: Float32Array,
    shape: readonly number[] = [data.length],
  ): TensorEntry & { readonly data: Uint8Array } => ({
    name,
    dtype: 'F32',
    shape,
    data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  });
  return {
    'adapter_model.safetensors': serializeSafetensors(
      [
        entry('subspace.z', z),
        ...(scales === undefined ? [] : [entry('subspace.scales', scales)]),
        ...[...head].map(([name, { data, shape }]) => entry(initialName(name), data, shape)),
      ],
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
  const floats = async (key: string): Promise<MethodTensor> => {
    const info = file.tensors.get(key);
    if (info?.dtype !== 'F32') return wrong(key, 'numbers in F32', info?.dtype);
    return { shape: info.shape, data: new Float32Array(new Uint8Array(await file.read(key)).buffer) };
  };
  const vector = async (key: string): Promise<Float32Array> => {
    const { shape, data } = await floats(key);
    return shape.length === 1 ? data : wrong(key, 'a vector', shape);
  };
  const z = await vector('subspace.z');
  const scales = structureAware ? await vector('subspace.scales') : undefined;
  if (z.length + (scales?.length ?? 0) !== settings.dimension)
    wrong('subspace.z', `${settings.dimension} numbers in all, as its dimension is`, z.length + (scales?.length ?? 0));
  const head = new Map<string, MethodTensor>();
  for (const key of file.tensors.keys())
    if (key.startsWith(initial)) head.set(inPeft + key.slice(initial.length), await floats(key));
  const { task_type: taskType } = given;
  return {
    ...((typeof taskType === 'string' || taskType === null) && taskType !== 'CAUSAL_LM' && { taskType }),
    head,
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
