import { LowrankError } from '@lowrank/errors';
import type { LoraAdapter, LoraConfig, LoraMatrices } from '@lowrank/lora';
import { LoraLinear, rankAt, scalingAt } from '@lowrank/lora';
import type { LinearLike, Module } from '@lowrank/nn';
import { Parameter } from '@lowrank/nn';
import { readTensor, scalar, tensor, toFloat32 } from '@lowrank/tensor';
import type { TargetOptions } from './targets.js';
import { matchTargets } from './targets.js';

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
export function adaptedLayers(model: Module): Map<string, LoraLinear> {
  const layers = new Map<string, LoraLinear>();
  for (const [path, module] of model.namedModules()) if (module instanceof LoraLinear) layers.set(path, module);
  return layers;
}

/**
 * Puts a new adapter around every layer that the configuration names, makes it the active one, and freezes everything else.
 *
 * @returns the adapter's matrices, to be trained
 * @throws LowrankError `patch.noTargets`
 */
export function injectAdapter(model: Module, config: LoraConfig, options: AdapterOptions = {}): NamedParameter[] {
  const { name = 'default', seed = 0 } = options;
  const targets = matchTargets(model, config, options);
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
 * @throws LowrankError `patch.adapterMismatch` when layers that the configuration names have no matrices, matrices belong to no layer, or shapes and ranks do not fit
 */
export function loadAdapter(model: Module, adapter: LoraAdapter, options: AdapterOptions = {}): NamedParameter[] {
  const { name = 'default' } = options;
  const { config, layers } = adapter;
  const targets = matchTargets(model, config, options);
  checkFit(targets, adapter);
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

function checkFit(targets: ReadonlyMap<string, LinearLike>, { config, layers }: LoraAdapter): void {
  const problems: string[] = [];
  for (const path of targets.keys()) if (!layers.has(path)) problems.push(`${path}: in target_modules, but without matrices`);
  for (const [path, { rank, inFeatures, outFeatures }] of layers) {
    const layer = targets.get(path);
    if (layer === undefined) problems.push(`${path}: no such target in this model`);
    else if (layer.inFeatures !== inFeatures || layer.outFeatures !== outFeatures) problems.push(`${path}: made for ${inFeatures} → ${outFeatures}, the layer is ${layer.inFeatures} → ${layer.outFeatures}`);
    else if (rank !== rankAt(config, path)) problems.push(`${path}: rank ${rank}, the configuration says ${rankAt(config, path)}`);
  }
  if (problems.length === 0) return;
  const shown = problems.slice(0, 6).join('; ');
  throw new LowrankError({ code: 'patch.adapterMismatch', what: 'the adapter', expected: 'matrices for exactly the layers it targets, in this model’s shapes', got: problems.length > 6 ? `${shown}; and ${problems.length - 6} more` : shown, remedy: 'Use the base model that the adapter was trained on.' });
}

function wrap(model: Module, path: string, layer: LinearLike): LoraLinear {
  if (layer instanceof LoraLinear) return layer;
  const wrapped = new LoraLinear(layer, streamOf(path));
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
  for (const [path, { adapters }] of adaptedLayers(model)) {
    const weights = adapters.get(name);
    if (weights === undefined) continue;
    for (const [half, parameter] of [['lora_A', weights.a] as const, ['lora_B', weights.b] as const]) {
      parameter.trainable = true;
      trained.push({ name: `${path}.${half}`, parameter });
    }
  }
  return trained;
}

/** Uses these adapters, which add up; none for the base alone. What is compiled already keeps what it was traced with. */
export function setActiveAdapters(model: Module, names: readonly string[]): void {
  const layers = adaptedLayers(model);
  const known = new Set([...layers.values()].flatMap(({ adapters }) => [...adapters.keys()]));
  const missing = names.filter((name) => !known.has(name));
  if (missing.length > 0) throw new LowrankError({ code: 'patch.noAdapter', what: `the adapter ${missing.join(', ')}`, expected: `one of ${[...known].join(', ') || 'none: no adapter is loaded'}`, got: 'an unknown name' });
  for (const layer of layers.values()) layer.active = names.filter((name) => layer.adapters.has(name));
}

/** Calls `fn` with all adapters off: the base model. */
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

/** Takes every adapter out of the model, frees it, and puts the layers back as they were. */
export function removeAdapters(model: Module): void {
  for (const [path, layer] of adaptedLayers(model)) {
    model.setModule(path, layer.base);
    for (const { a, b } of layer.adapters.values()) [a, b].forEach(({ tensor: weights }) => weights.dispose());
  }
}

/** An adapter as it is now, read from wherever its matrices live. */
export async function extractAdapter(model: Module, config: LoraConfig, name = 'default'): Promise<LoraAdapter> {
  const layers = new Map<string, LoraMatrices>();
  for (const [path, layer] of adaptedLayers(model)) {
    const weights = layer.adapters.get(name);
    if (weights === undefined) continue;
    const read = async ({ tensor: values }: Parameter): Promise<Float32Array> => toFloat32(await readTensor(values), values.dtype);
    const [rank = 0] = weights.a.tensor.shape;
    layers.set(path, { a: await read(weights.a), b: await read(weights.b), rank, inFeatures: layer.inFeatures, outFeatures: layer.outFeatures });
  }
  return { config, layers };
}
