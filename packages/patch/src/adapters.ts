import { LowrankError } from '@lowrank/errors';
import type { LoraAdapter, LoraConfig, LoraMatrices, LoraWeights, NewLora, WholeTensor } from '@lowrank/lora';
import {
  beginsInBase,
  beginsOutside,
  LoraBankLayer,
  LoraEmbedding,
  LoraLayer,
  LoraLinear,
  plainConfig,
  plainMatrices,
  rankAt,
  scalingAt,
  variantOf,
} from '@lowrank/lora';
import type { Module, TrainedParameter } from '@lowrank/nn';
import { Conv1d, Embedding, Parameter } from '@lowrank/nn';
import { readTensor, scalar, tensor, toFloat32 } from '@lowrank/tensor';
import { biasesOf } from './biases.js';
import { requireUnmerged } from './merged.js';
import { checkOutput } from './outputTargets.js';
import {
  activateCopies,
  addCopies,
  checkUncopied,
  copiesOf,
  namesOfCopies,
  removeCopies,
  savedConfig,
  splitWhole,
  trainedCopies,
  withoutCopies,
} from './savedModules.js';
import { checkWhole, restoreWhole } from './savedWhole.js';
import type { Adaptable } from './targets.js';
import { matchLoaded, matchTargets } from './targets.js';
import { activateRows, addRows, extractRows, removeRows, tokenLayers, trainedTokenRows } from './trainedRows.js';

export interface AdapterOptions {
  /** PEFT's own name for an only adapter is 'default'. */
  readonly name?: string;
  /** Of the new matrices. */
  readonly seed?: number;
}

/** Every adapted layer of a model by the path of the layer it stands for. */
export function adaptedLayers(model: Module): Map<string, LoraLayer> {
  const layers = new Map<string, LoraLayer>();
  for (const [path, module] of model.namedModules()) if (module instanceof LoraLayer) layers.set(path, module);
  return layers;
}

/**
 * Puts a new adapter around every layer that the configuration names, makes it the active one, and freezes everything
 * else. For adapters that do not depend on the base's weights; `createAdapter` makes any.
 *
 * @returns the adapter's matrices, to be trained
 * @throws LowrankError `patch.noTargets`, `patch.notLinear`, `patch.adapterExists`, `patch.beginsOutside`,
 * `patch.dependsOnBase`
 */
export function injectAdapter(model: Module, config: LoraConfig, options: AdapterOptions = {}): TrainedParameter[] {
  refuseDependent(config, 'createAdapter(model, config)');
  const { name, layers } = prepareNew(model, config, options);
  for (const { layer, settings } of layers) layer.addNew(name, settings);
  setActiveAdapters(model, [name]);
  return trainOnly(model, name, config);
}

/**
 * The same for every configuration: DoRA's magnitudes begin as the norms of W's rows, and PiSSA and OLoRA take their A
 * and B from W, which is read for that, one layer at a time. The base itself never changes: what A and B began as is
 * taken off beside it (PEFT changes W instead).
 *
 * @throws LowrankError also `lora.config`, `lora.svd`, `lora.baseWeight`
 */
export async function createAdapter(
  model: Module,
  config: LoraConfig,
  options: AdapterOptions = {},
): Promise<TrainedParameter[]> {
  const { name, layers } = prepareNew(model, config, options);
  return wholly(model, name, async () => {
    for (const { layer, settings } of layers) await layer.addNewFromBase(name, settings);
    await addCopies(model, config, name);
    await addRows(model, config, name);
    setActiveAdapters(model, [name]);
    return trainOnly(model, name, config);
  });
}

/** Does all of it, or leaves the model as it was: without an adapter of this name. */
export async function wholly<T>(model: Module, name: string, build: () => Promise<T>): Promise<T> {
  try {
    return await build();
  } catch (error) {
    discard(model, name);
    throw error;
  }
}

function prepareNew(
  model: Module,
  config: LoraConfig,
  options: AdapterOptions,
): { name: string; layers: { layer: LoraLayer; settings: NewLora }[] } {
  const { name = 'default', seed = 0 } = options;
  if (beginsOutside(config.init))
    throw new LowrankError({
      code: 'patch.beginsOutside',
      what: `a new adapter with the init ${config.init}`,
      expected:
        config.init === 'eva'
          ? 'injectEva, which sees the data'
          : 'injectLoftq, which knows the weights before they were quantized',
      got: 'injectAdapter',
    });
  const targets = config.targetModules.length === 0 ? new Map<string, Adaptable>() : matchTargets(model, config);
  checkFree(model, name, config);
  checkBiases(targets, config);
  checkOutput(model, targets, config);
  checkUncopied(model, targets.keys());
  const { dropout, init, loraBias: bias } = config;
  const layers = [...targets].map(([path, target]) => ({
    layer: wrap(model, path, target),
    settings: {
      rank: rankAt(config, path),
      scaling: scalingAt(config, path),
      dropout,
      init,
      seed,
      bias,
      variant: variantOf(config),
    },
  }));
  return { name, layers };
}

function refuseDependent(config: LoraConfig, remedy: string): void {
  if (config.modulesToSave !== undefined || config.trainableTokenIndices !== undefined) {
    throw new LowrankError({
      code: 'patch.dependsOnBase',
      what: `an adapter with ${config.modulesToSave === undefined ? 'trainable_token_indices' : 'modules_to_save'}`,
      expected: 'one that does not depend on the base’s weights',
      got: 'one that begins with copies of them',
      remedy: `Use await ${remedy}.`,
    });
  }
  if (variantOf(config).prepare === undefined && !beginsInBase(config.init)) return;
  throw new LowrankError({
    code: 'patch.dependsOnBase',
    what:
      config.variant !== undefined
        ? `an adapter of the variant ${config.variant.name}`
        : config.useDora === true
          ? 'an adapter with use_dora'
          : `an adapter that began as ${config.init}`,
    expected: 'one that does not depend on the base’s weights',
    got: 'one whose layers read them first',
    remedy: `Use await ${remedy}.`,
  });
}

function checkBiases(targets: ReadonlyMap<string, Adaptable>, { loraBias = false }: LoraConfig): void {
  if (!loraBias) return;
  const embedding = [...targets].find(([, layer]) => layer instanceof Embedding || layer instanceof LoraEmbedding);
  if (embedding !== undefined)
    throw new LowrankError({
      code: 'patch.notLinear',
      what: `lora_bias at ${embedding[0]}`,
      expected: 'a linear layer',
      got: 'an embedding',
      remedy: 'Leave it out of the target modules, or lora_bias off.',
    });
}

/**
 * Loads an adapter's matrices around the layers they belong to and makes it the active one. For adapters that do not
 * depend on the base's weights; `attachAdapter` loads any.
 *
 * @returns the adapter's matrices, in case they are to be trained further
 * @throws LowrankError `patch.adapterMismatch` when layers that the configuration names have no matrices, matrices
 * belong to no layer, or shapes and ranks do not fit; `patch.adapterExists`, `patch.dependsOnBase`
 */
export function loadAdapter(model: Module, adapter: LoraAdapter, options: AdapterOptions = {}): TrainedParameter[] {
  const { config } = adapter;
  refuseDependent(config, 'attachAdapter(model, adapter)');
  const { name, layers } = prepareLoaded(model, adapter, options);
  for (const { layer, weights } of layers) layer.add(name, weights);
  setActiveAdapters(model, [name]);
  return trainOnly(model, name, config);
}

/**
 * The same for every adapter: with DoRA the norms of W's rows are computed first, and where A and B began as a part of
 * W (PiSSA, OLoRA, not converted) that part is found again.
 *
 * @throws LowrankError also `lora.config`, `lora.svd`, `lora.baseWeight`
 */
export async function attachAdapter(
  model: Module,
  adapter: LoraAdapter,
  options: AdapterOptions = {},
): Promise<TrainedParameter[]> {
  const { config } = adapter;
  const { name, layers } = prepareLoaded(model, adapter, options);
  const { init } = config;
  return wholly(model, name, async () => {
    for (const { path, layer, weights } of layers) {
      const initial = await layer.partOfBase({
        init,
        rank: rankAt(config, path),
        scaling: scalingAt(config, path),
        seed: options.seed ?? 0,
      });
      const begun = { ...weights, initial };
      layer.add(name, (await weights.variant?.prepare?.(layer, begun)) ?? begun);
    }
    await addCopies(model, config, name, splitWhole(model, config, adapter.whole).copies);
    await addRows(model, config, name, adapter.tokens ?? new Map());
    setActiveAdapters(model, [name]);
    return trainOnly(model, name, config);
  });
}

function prepareLoaded(
  model: Module,
  adapter: LoraAdapter,
  options: AdapterOptions,
): { name: string; layers: { path: string; layer: LoraLayer; weights: LoraWeights }[] } {
  const { name = 'default' } = options;
  const { config, layers: stored } = adapter;
  const targets = matchLoaded(model, config);
  const { rest } = splitWhole(model, config, adapter.whole);
  checkFree(model, name, config);
  checkOutput(model, targets, config);
  checkUncopied(model, targets.keys());
  checkFit(model, targets, { ...adapter, whole: rest });
  restoreWhole(model, rest);
  const layers = [...targets].flatMap(([path, target]) => {
    const matrices = stored.get(path);
    if (matrices === undefined) return [];
    const { a, b, rank, inFeatures, outFeatures, bias, vector } = matrices;
    const row = (values: Float32Array | undefined, title: string): Parameter | undefined =>
      values === undefined ? undefined : new Parameter(tensor(values, [outFeatures], { name: `${path}.${title}` }));
    const weights: LoraWeights = {
      a: new Parameter(tensor(a, [rank, inFeatures], { name: `${path}.lora_A` })),
      b: new Parameter(tensor(b, [outFeatures, rank], { name: `${path}.lora_B` })),
      scale: scalar(scalingAt(config, path), { name: `scale.${name}` }),
      dropout: config.dropout,
      variant: variantOf(config),
      bias: row(bias, 'lora_B.bias'),
      vector: row(vector, 'vector'),
    };
    return [{ path, layer: wrap(model, path, target), weights }];
  });
  return { name, layers };
}

/** @throws LowrankError `patch.adapterExists` */
export function checkFree(
  model: Module,
  name: string,
  { bias = 'none' }: Partial<Pick<LoraConfig, 'bias'>> = {},
): void {
  requireUnmerged(model, `another adapter, ${name}`);
  const banked = [...model.namedModules()].find(([, module]) => module instanceof LoraBankLayer);
  if (banked !== undefined)
    throw new LowrankError({
      code: 'patch.bank',
      what: `the adapter ${name} around ${banked[0]}`,
      expected: 'a model without a bank of adapters',
      got: 'a layer in a bank',
      remedy: 'Load it into the bank, or dispose of the bank first.',
    });
  const others = [...adaptedLayers(model).values(), ...tokenLayers(model).map(([, layer]) => layer)];
  // Biases are trained in place, so that they can belong to one adapter alone.
  if (bias !== 'none' && others.length > 0)
    throw new LowrankError({
      code: 'patch.adapterExists',
      what: `an adapter with bias ${bias}`,
      expected: 'no other adapter',
      got: [...new Set(others.flatMap(({ adapters }) => [...adapters.keys()]))].join(', '),
      remedy: 'Train it with bias none, or remove the others.',
    });
  if (!isKnown(model, name)) return;
  throw new LowrankError({
    code: 'patch.adapterExists',
    what: `the adapter ${name}`,
    expected: 'a name that is not taken',
    got: 'an adapter of that name',
    remedy: 'Give it another name, or remove the other one first.',
  });
}

function checkFit(
  model: Module,
  targets: ReadonlyMap<string, Adaptable>,
  { config, layers, whole }: LoraAdapter,
): void {
  const problems = checkWhole(model, targets, whole);
  for (const path of targets.keys())
    if (!layers.has(path)) problems.push(`${path}: in target_modules, but without matrices`);
  for (const [path, { rank, inFeatures, outFeatures, embedding = false }] of layers) {
    const layer = targets.get(path);
    const ofEmbedding = layer instanceof Embedding || layer instanceof LoraEmbedding;
    const [input, output] =
      layer instanceof Embedding ? layer.weight.tensor.shape : [layer?.inFeatures, layer?.outFeatures];
    if (layer === undefined) problems.push(`${path}: no such target in this model`);
    else if (embedding !== ofEmbedding)
      problems.push(`${path}: made for ${embedding ? 'an embedding' : 'a linear layer'}`);
    else if (input !== inFeatures || output !== outFeatures)
      problems.push(`${path}: made for ${inFeatures} → ${outFeatures}, the layer is ${input} → ${output}`);
    else if (rank !== rankAt(config, path))
      problems.push(`${path}: rank ${rank}, the configuration says ${rankAt(config, path)}`);
  }
  if (problems.length === 0) return;
  const shown = problems.slice(0, 6).join('; ');
  throw new LowrankError({
    code: 'patch.adapterMismatch',
    what: 'the adapter',
    expected: 'matrices for exactly the layers it targets, in this model’s shapes',
    got: problems.length > 6 ? `${shown}; and ${problems.length - 6} more` : shown,
    remedy: 'Use the base model that the adapter was trained on.',
  });
}

export function wrap(model: Module, path: string, layer: Adaptable): LoraLayer {
  if (layer instanceof LoraLayer) return layer;
  const wrapped =
    layer instanceof Embedding ? new LoraEmbedding(layer, streamOf(path)) : new LoraLinear(layer, streamOf(path));
  model.setModule(path, wrapped);
  return wrapped;
}

/** A number of the path (FNV-1a), so that a layer draws the same whichever other layers are adapted. */
export function streamOf(path: string): number {
  let hash = 0x811c9dc5;
  for (const char of path) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193);
  return hash >>> 0;
}

/**
 * Freezes every parameter of the model but those of one adapter, which it returns: its matrices and vectors, its copies
 * of modules and of token rows, and the base's biases that its configuration trains along.
 */
export function trainOnly(
  model: Module,
  name: string,
  config: Partial<Pick<LoraConfig, 'bias' | 'peftType'>> = {},
): TrainedParameter[] {
  requireUnmerged(model, `training the adapter ${name}`);
  for (const [, parameter] of model.namedParameters()) parameter.trainable = false;
  const trained: TrainedParameter[] = [];
  for (const [path, { adapters, embedding }] of adaptedLayers(model)) {
    const { a, b, bias, vector, variant } = adapters.get(name) ?? {};
    const half = embedding ? 'lora_embedding_' : 'lora_';
    for (const [own, parameter] of [
      [`${half}A`, a],
      [`${half}B`, b],
      ['lora_B.bias', bias],
      [variant?.vector, vector],
    ] as const)
      if (parameter !== undefined) trained.push({ name: `${path}.${own}`, parameter });
  }
  trained.push(
    ...biasesOf(model, name, config),
    ...trainedCopies(model, name),
    ...trainedTokenRows(model, name, config),
  );
  for (const { parameter } of trained) parameter.trainable = true;
  return trained;
}

/** Whether the model has an adapter of this name: matrices, copies of modules or token rows. */
function isKnown(model: Module, name: string): boolean {
  return (
    [...adaptedLayers(model).values()].some(({ adapters }) => adapters.has(name)) ||
    copiesOf(model, name).length > 0 ||
    tokenLayers(model).some(([, { adapters }]) => adapters.has(name))
  );
}

/**
 * Uses these adapters, which add up; none for the base alone. What is compiled already keeps what it was traced with.
 */
export function setActiveAdapters(model: Module, names: readonly string[]): void {
  requireUnmerged(model, 'switching between adapters');
  const layers = adaptedLayers(model);
  for (const name of names) if (!isKnown(model, name)) requireAdapter(layers, name);
  activateCopies(model, names);
  activateRows(model, names);
  for (const layer of layers.values()) layer.active = names.filter((name) => layer.adapters.has(name));
}

/** The layers that have an adapter of this name. @throws LowrankError `patch.noAdapter` */
export function requireAdapter(
  layers: ReadonlyMap<string, LoraLayer>,
  name: string,
): [path: string, layer: LoraLayer, weights: LoraWeights][] {
  const found = havingAdapter(layers, name);
  if (found.length > 0) return found;
  const known = new Set([...layers.values()].flatMap(({ adapters }) => [...adapters.keys()]));
  throw new LowrankError({
    code: 'patch.noAdapter',
    what: `the adapter ${name}`,
    expected: known.size === 0 ? 'an adapter to be loaded' : `one of ${[...known].join(', ')}`,
    got: 'an unknown name',
  });
}

function havingAdapter(
  layers: ReadonlyMap<string, LoraLayer>,
  name: string,
): [path: string, layer: LoraLayer, weights: LoraWeights][] {
  return [...layers].flatMap(([path, layer]): [string, LoraLayer, LoraWeights][] => {
    const weights = layer.adapters.get(name);
    return weights === undefined ? [] : [[path, layer, weights]];
  });
}

/** Calls `fn`, which traces something, with all adapters off: the base model. What is compiled within it stays so. */
export function withoutAdapters<T>(model: Module, fn: () => T): T {
  requireUnmerged(model, 'switching adapters off');
  const layers = [...adaptedLayers(model).values(), ...tokenLayers(model).map(([, layer]) => layer)];
  const before = layers.map(({ enabled }) => enabled);
  for (const layer of layers) layer.enabled = false;
  try {
    return withoutCopies(model, fn);
  } finally {
    layers.forEach((layer, at) => (layer.enabled = before[at] ?? true));
  }
}

/**
 * Takes one adapter out of the model and frees it; a layer with no other is put back as it was. @throws LowrankError
 * `patch.noAdapter`
 */
export function removeAdapter(model: Module, name: string): void {
  requireUnmerged(model, `removing the adapter ${name}`);
  if (!isKnown(model, name)) requireAdapter(adaptedLayers(model), name);
  discard(model, name);
}

function discard(model: Module, name: string): void {
  for (const [path, layer] of adaptedLayers(model)) {
    layer.remove(name);
    if (layer.adapters.size === 0) model.setModule(path, layer.base);
  }
  removeCopies(model, name);
  removeRows(model, name);
}

/** Takes every adapter out of the model, frees it, and puts the layers back as they were. Their weights stay frozen. */
export function removeAdapters(model: Module): void {
  requireUnmerged(model, 'removing adapters');
  const names = new Set([
    ...[...adaptedLayers(model).values(), ...tokenLayers(model).map(([, layer]) => layer)].flatMap(({ adapters }) => [
      ...adapters.keys(),
    ]),
    ...namesOfCopies(model),
  ]);
  for (const name of names) discard(model, name);
}

/**
 * An adapter as it is now, read from wherever its matrices live. As PEFT does, 'all-linear' is saved as the names of
 * the layers, and `fan_in_fan_out` as the layers have it. One that began as a part of W (PiSSA, OLoRA) becomes plain
 * LoRA of twice the rank, which goes with the base as it is.
 *
 * @throws LowrankError `patch.noAdapter`, `patch.merged` for biases of B and of the base together
 */
export async function extractAdapter(model: Module, config: LoraConfig, name = 'default'): Promise<LoraAdapter> {
  // Merged, a bias of B lies in the base's bias.
  if (config.loraBias === true && config.bias !== undefined && config.bias !== 'none')
    requireUnmerged(model, `extracting the adapter ${name}`);
  const layers = new Map<string, LoraMatrices>();
  const doubled = beginsInBase(config.init);
  let fanInFanOut = false;
  for (const [path, layer, weights] of isKnown(model, name)
    ? havingAdapter(adaptedLayers(model), name)
    : requireAdapter(adaptedLayers(model), name)) {
    layers.set(path, await matricesOf(layer, weights, doubled));
    fanInFanOut ||= layer.base instanceof Conv1d;
  }
  const whole = new Map<string, WholeTensor>();
  for (const { name: path, parameter } of [
    ...biasesOf(model, name, config),
    ...copiesOf(model, name).map(([path, parameter]) => ({ name: path, parameter })),
  ])
    whole.set(path, {
      dtype: 'F32',
      shape: parameter.tensor.shape,
      data: new Uint8Array((await read(parameter)).slice().buffer),
    });
  const isShorthand = config.targetModules.toString().toLowerCase() === 'all-linear';
  const own = savedConfig(model, doubled ? plainConfig(config) : config);
  const tokens = await extractRows(model, name, config);
  return {
    config: { ...own, fanInFanOut, ...(isShorthand ? { targetModules: namesOf(model, [...layers.keys()]) } : {}) },
    layers,
    ...(whole.size === 0 ? {} : { whole }),
    ...(tokens.size === 0 ? {} : { tokens }),
  };
}

/** One adapter of a layer, on the host. @param doubled as plain LoRA of twice the rank */
export async function matricesOf(
  layer: LoraLayer,
  { a, b, bias, vector, initial }: LoraWeights,
  doubled = initial !== undefined,
): Promise<LoraMatrices> {
  const [rank = 0] = a.tensor.shape;
  const { inFeatures, outFeatures } = layer;
  const matrices = {
    a: await read(a),
    b: await read(b),
    rank,
    inFeatures,
    outFeatures,
    ...(layer.embedding ? { embedding: true } : {}),
    ...(bias === undefined ? {} : { bias: await read(bias) }),
    ...(vector === undefined ? {} : { vector: await read(vector) }),
  };
  if (!doubled) return matrices;
  return plainMatrices(
    matrices,
    initial === undefined ? undefined : { a: await read(initial.a), b: await read(initial.b) },
  );
}

async function read({ tensor: values }: Parameter): Promise<Float32Array> {
  return toFloat32(await readTensor(values), values.dtype);
}

/**
 * The shortest list of names that matches these layers and no other: their last names, if they do, else their paths.
 */
export function namesOf(model: Module, paths: readonly string[]): string[] {
  const short = [...new Set(paths.map((path) => path.slice(path.lastIndexOf('.') + 1)))].sort();
  return matchLoaded(model, { targetModules: short }).size === paths.length ? short : [...paths].sort();
}
