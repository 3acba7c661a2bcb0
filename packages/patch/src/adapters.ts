import { LowrankError } from '@lowrank/errors';
import type { LoraAdapter, LoraConfig, LoraMatrices, LoraWeights } from '@lowrank/lora';
import { LoraEmbedding, LoraLayer, LoraLinear, rankAt, scalingAt } from '@lowrank/lora';
import type { Module } from '@lowrank/nn';
import { Conv1d, Embedding, Parameter } from '@lowrank/nn';
import { readTensor, scalar, tensor, toFloat32 } from '@lowrank/tensor';
import { checkSavedTables, restoreTables } from './savedTables.js';
import type { Adaptable, TargetOptions } from './targets.js';
import { matchLoaded, matchTargets } from './targets.js';

export interface AdapterOptions extends TargetOptions {
  /** PEFT's own name for an only adapter is 'default'. */
  readonly name?: string;
  /** Of the new matrices. */
  readonly seed?: number;
}

/** A trained matrix with its name, as the trainer takes it. */
export interface NamedParameter {
  readonly name: string;
  readonly parameter: Parameter;
}

/** Every adapted layer of a model by the path of the layer it stands for. */
export function adaptedLayers(model: Module): Map<string, LoraLayer> {
  const layers = new Map<string, LoraLayer>();
  for (const [path, module] of model.namedModules()) if (module instanceof LoraLayer) layers.set(path, module);
  return layers;
}

/**
 * Puts a new adapter around every layer that the configuration names, makes it the active one, and freezes everything else.
 *
 * @returns the adapter's matrices, to be trained
 * @throws LowrankError `patch.noTargets`, `patch.notLinear`, `patch.adapterExists`, `patch.loftq`
 */
export function injectAdapter(model: Module, config: LoraConfig, options: AdapterOptions = {}): NamedParameter[] {
  const { name = 'default', seed = 0 } = options;
  if (config.init === 'loftq') throw new LowrankError({ code: 'patch.loftq', what: 'a new adapter with the init loftq', expected: 'injectLoftq, which knows the weights before they were quantized', got: 'injectAdapter' });
  const targets = matchTargets(model, config, options);
  checkFree(model, name);
  for (const [path, layer] of targets) {
    const { dropout, init } = config;
    wrap(model, path, layer).addNew(name, { rank: rankAt(config, path), scaling: scalingAt(config, path), dropout, init, seed });
  }
  setActiveAdapters(model, [name]);
  return trainOnly(model, name);
}

/**
 * Loads an adapter's matrices around the layers they belong to and makes it the active one.
 *
 * @returns the adapter's matrices, in case they are to be trained further
 * @throws LowrankError `patch.adapterMismatch` when layers that the configuration names have no matrices, matrices belong to no layer, or shapes and ranks do not fit;
 * `patch.adapterExists`
 */
export function loadAdapter(model: Module, adapter: LoraAdapter, options: AdapterOptions = {}): NamedParameter[] {
  const { name = 'default' } = options;
  const { config, layers } = adapter;
  const targets = matchLoaded(model, config, options);
  checkFree(model, name);
  checkFit(targets, adapter);
  restoreTables(targets, adapter.whole);
  for (const [path, layer] of targets) {
    const matrices = layers.get(path);
    if (matrices === undefined) continue;
    const { a, b, rank, inFeatures, outFeatures } = matrices;
    wrap(model, path, layer).add(name, {
      a: new Parameter(tensor(a, [rank, inFeatures], { name: `${path}.lora_A` })),
      b: new Parameter(tensor(b, [outFeatures, rank], { name: `${path}.lora_B` })),
      scale: scalar(scalingAt(config, path), { name: `scale.${name}` }),
      dropout: config.dropout,
    });
  }
  setActiveAdapters(model, [name]);
  return trainOnly(model, name);
}

/** @throws LowrankError `patch.adapterExists` */
export function checkFree(model: Module, name: string): void {
  if (![...adaptedLayers(model).values()].some(({ adapters }) => adapters.has(name))) return;
  throw new LowrankError({ code: 'patch.adapterExists', what: `the adapter ${name}`, expected: 'a name that is not taken', got: 'an adapter of that name', remedy: 'Give it another name, or remove the other one first.' });
}

function checkFit(targets: ReadonlyMap<string, Adaptable>, { config, layers, whole }: LoraAdapter): void {
  const problems = checkSavedTables(targets, whole);
  for (const path of targets.keys()) if (!layers.has(path)) problems.push(`${path}: in target_modules, but without matrices`);
  for (const [path, { rank, inFeatures, outFeatures, embedding = false }] of layers) {
    const layer = targets.get(path);
    const ofEmbedding = layer instanceof Embedding || layer instanceof LoraEmbedding;
    const [input, output] = layer instanceof Embedding ? layer.weight.tensor.shape : [layer?.inFeatures, layer?.outFeatures];
    if (layer === undefined) problems.push(`${path}: no such target in this model`);
    else if (embedding !== ofEmbedding) problems.push(`${path}: made for ${embedding ? 'an embedding' : 'a linear layer'}`);
    else if (input !== inFeatures || output !== outFeatures) problems.push(`${path}: made for ${inFeatures} → ${outFeatures}, the layer is ${input} → ${output}`);
    else if (rank !== rankAt(config, path)) problems.push(`${path}: rank ${rank}, the configuration says ${rankAt(config, path)}`);
  }
  if (problems.length === 0) return;
  const shown = problems.slice(0, 6).join('; ');
  throw new LowrankError({ code: 'patch.adapterMismatch', what: 'the adapter', expected: 'matrices for exactly the layers it targets, in this model’s shapes', got: problems.length > 6 ? `${shown}; and ${problems.length - 6} more` : shown, remedy: 'Use the base model that the adapter was trained on.' });
}

export function wrap(model: Module, path: string, layer: Adaptable): LoraLayer {
  if (layer instanceof LoraLayer) return layer;
  const wrapped = layer instanceof Embedding ? new LoraEmbedding(layer, streamOf(path)) : new LoraLinear(layer, streamOf(path));
  model.setModule(path, wrapped);
  return wrapped;
}

/** A number of the path (FNV-1a), so that a layer draws the same whichever other layers are adapted. */
function streamOf(path: string): number {
  let hash = 0x811c9dc5;
  for (const char of path) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193);
  return hash >>> 0;
}

/** Freezes every parameter of the model but the matrices of one adapter, which it returns. */
export function trainOnly(model: Module, name: string): NamedParameter[] {
  for (const [, parameter] of model.namedParameters()) parameter.trainable = false;
  const trained: NamedParameter[] = [];
  for (const [path, { adapters, embedding }] of adaptedLayers(model)) {
    const weights = adapters.get(name);
    if (weights === undefined) continue;
    for (const [half, parameter] of [[`lora_${embedding ? 'embedding_' : ''}A`, weights.a] as const, [`lora_${embedding ? 'embedding_' : ''}B`, weights.b] as const]) {
      parameter.trainable = true;
      trained.push({ name: `${path}.${half}`, parameter });
    }
  }
  return trained;
}

/** Uses these adapters, which add up; none for the base alone. What is compiled already keeps what it was traced with. */
export function setActiveAdapters(model: Module, names: readonly string[]): void {
  const layers = adaptedLayers(model);
  for (const name of names) requireAdapter(layers, name);
  for (const layer of layers.values()) layer.active = names.filter((name) => layer.adapters.has(name));
}

/** The layers that have an adapter of this name. @throws LowrankError `patch.noAdapter` */
export function requireAdapter(layers: ReadonlyMap<string, LoraLayer>, name: string): [path: string, layer: LoraLayer, weights: LoraWeights][] {
  const found = [...layers].flatMap(([path, layer]): [string, LoraLayer, LoraWeights][] => {
    const weights = layer.adapters.get(name);
    return weights === undefined ? [] : [[path, layer, weights]];
  });
  if (found.length > 0) return found;
  const known = new Set([...layers.values()].flatMap(({ adapters }) => [...adapters.keys()]));
  throw new LowrankError({ code: 'patch.noAdapter', what: `the adapter ${name}`, expected: known.size === 0 ? 'an adapter to be loaded' : `one of ${[...known].join(', ')}`, got: 'an unknown name' });
}

/** Calls `fn`, which traces something, with all adapters off: the base model. What is compiled within it stays so. */
export function withoutAdapters<T>(model: Module, fn: () => T): T {
  const layers = [...adaptedLayers(model).values()];
  const before = layers.map(({ enabled }) => enabled);
  for (const layer of layers) layer.enabled = false;
  try {
    return fn();
  } finally {
    layers.forEach((layer, at) => (layer.enabled = before[at] ?? true));
  }
}

/** Takes one adapter out of the model and frees it; a layer with no other is put back as it was. @throws LowrankError `patch.noAdapter` */
export function removeAdapter(model: Module, name: string): void {
  for (const [path, layer] of requireAdapter(adaptedLayers(model), name)) {
    layer.remove(name);
    if (layer.adapters.size === 0) model.setModule(path, layer.base);
  }
}

/** Takes every adapter out of the model, frees it, and puts the layers back as they were. Their weights stay frozen. */
export function removeAdapters(model: Module): void {
  for (const [path, layer] of adaptedLayers(model)) {
    model.setModule(path, layer.base);
    for (const name of layer.adapters.keys()) layer.remove(name);
  }
}

/**
 * An adapter as it is now, read from wherever its matrices live. As PEFT does, 'all-linear' is saved as the names of the layers, and `fan_in_fan_out` as the layers have it.
 *
 * @throws LowrankError `patch.noAdapter`
 */
export async function extractAdapter(model: Module, config: LoraConfig, name = 'default'): Promise<LoraAdapter> {
  const layers = new Map<string, LoraMatrices>();
  let fanInFanOut = false;
  for (const [path, layer, { a, b }] of requireAdapter(adaptedLayers(model), name)) {
    const [rank = 0] = a.tensor.shape;
    layers.set(path, { a: await read(a), b: await read(b), rank, inFeatures: layer.inFeatures, outFeatures: layer.outFeatures, ...(layer.embedding ? { embedding: true } : {}) });
    fanInFanOut ||= layer.base instanceof Conv1d;
  }
  const isShorthand = config.targetModules.toString().toLowerCase() === 'all-linear';
  return { config: { ...config, fanInFanOut, ...(isShorthand ? { targetModules: namesOf(model, [...layers.keys()]) } : {}) }, layers };
}

async function read({ tensor: values }: Parameter): Promise<Float32Array> {
  return toFloat32(await readTensor(values), values.dtype);
}

/** The shortest list of names that matches these layers and no other: their last names, if they do, else their paths. */
function namesOf(model: Module, paths: readonly string[]): string[] {
  const short = [...new Set(paths.map((path) => path.slice(path.lastIndexOf('.') + 1)))].sort();
  return matchLoaded(model, { targetModules: short }).size === paths.length ? short : [...paths].sort();
}
