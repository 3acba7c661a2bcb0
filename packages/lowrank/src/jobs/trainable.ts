import type { TrainedParameter } from '@lowrank/nn';
import { LowrankError } from '@lowrank/errors';
import type { LoraAdapter, LoraConfig } from '@lowrank/lora';
import { loraConfig, loraSettings } from '@lowrank/lora';
import {
  attachMethod,
  foldSubspace,
  isMethodType,
  isSubspaceConfig,
  loadSubspace,
  methodOf,
  readMethod,
  readSubspace,
} from '@lowrank/methods';
import { addAdapter, loadAdapter, matchTargets, withLoraPlus } from '@lowrank/patch';
import type { AdapterOptions as NewAdapterOptions, PlacedAdapter } from '@lowrank/patch';
import type { QuantizationSettings } from '@lowrank/quant';
import type { MergedOptions } from '@lowrank/settings';
import type { AdapterFolder } from '../adapterFolder.js';
import { openAdapterFolder, readLoraFolder } from '../adapterFolder.js';
import { saveAdapter } from '../saveAdapter.js';
import { checkSame } from '../settings/checkOptions.js';
import type { loraRunSettings, resumeSettings } from '../settings/runSettings.js';
import type { EvaData } from './eva.js';
import { evaMeasure } from './eva.js';
import type { TransferEvents } from './folders.js';
import { loftqBase } from './loftq.js';
import type { OpenModel } from './openModel.js';
import { saveWeights } from './saveWeights.js';
import { tokenIdsOf } from './trainedTokens.js';

/** What is trained of a model, and how it is saved. */
export interface Trainable {
  readonly parameters: readonly TrainedParameter[];
  save(folder: string): Promise<void>;
}

type LoraTables = typeof loraSettings | typeof loraRunSettings | typeof resumeSettings;

/** Options of LoRA's adapters. Default for `targetModules`: PEFT's for the model; for `baseModel`: the model's folder. */
export interface AdapterOptions extends MergedOptions<LoraTables>, Pick<TransferEvents, 'onWarning'> {
  readonly seed: number;
}

/** What some inits go by. */
export interface InitSources {
  /** How the model was quantized while it was loaded: what LoftQ goes by. */
  readonly quantization?: QuantizationSettings | undefined;
  /** The rows that it is trained on: what EVA goes by. */
  readonly data?: EvaData | undefined;
}

/** A new adapter, or one to go on from, to be saved as PEFT files. */
export async function trainAdapter(
  model: OpenModel,
  options: AdapterOptions,
  sources: InitSources = {},
): Promise<Trainable> {
  const { module } = model;
  const { initAdapter, loraPlusRatio } = options;
  const { parameters } =
    initAdapter === undefined
      ? await newAdapter(model, await configOf(model, options), { options: { seed: options.seed }, sources })
      : await goOn(model, initAdapter, options);
  return {
    parameters: loraPlusRatio === undefined ? parameters : withLoraPlus(parameters, loraPlusRatio),
    save: async (folder) => void (await saveAdapter(module, folder)),
  };
}

/** A run's options as a configuration: those of LoRA's table, and what the model knows. */
async function configOf(model: OpenModel, options: AdapterOptions): Promise<LoraConfig> {
  const { trainableTokens, baseModel = model.folder, targetModules = model.module.defaultTargets } = options;
  const own = Object.entries(options).filter(([name]) => Object.hasOwn(loraSettings.settings, name));
  const tokens =
    trainableTokens === undefined ? {} : { trainableTokenIndices: await tokenIdsOf(trainableTokens, model.folder) };
  const config = loraConfig({
    taskType: 'CAUSAL_LM',
    ...Object.fromEntries(own),
    ...tokens,
    targetModules: asTargets(targetModules),
    baseModel,
  });
  checkTargets(model, targetModules, config);
  return config;
}

async function goOn({ module }: OpenModel, path: string, options: AdapterOptions): Promise<PlacedAdapter> {
  const adapter = await readAdapterFolder(path, options.onWarning);
  checkAgainst(module, adapter.config, options);
  const config = { ...adapter.config, dropout: options.dropout ?? adapter.config.dropout };
  return loadAdapter(module, { ...adapter, config });
}

async function newAdapter(
  { module, folder }: OpenModel,
  config: LoraConfig,
  { options, sources }: { options: NewAdapterOptions; sources: InitSources },
): Promise<PlacedAdapter> {
  const { data, quantization } = sources;
  return addAdapter(module, config, {
    ...options,
    data: config.init === 'eva' && data !== undefined ? await evaMeasure(module, config, data) : undefined,
    loftq: config.init === 'loftq' ? { base: await loftqBase(folder, quantization) } : undefined,
  });
}

/** Every weight, to be saved as a model folder. */
export function trainWeights(model: OpenModel): Trainable {
  const parameters = [...model.module.namedParameters()].map(([name, parameter]) => ({ name, parameter }));
  return { parameters, save: (folder) => saveWeights(model, folder) };
}

/** @param onWarning is told what of its configuration was left aside */
export async function readAdapterFolder(path: string, onWarning?: TransferEvents['onWarning']): Promise<LoraAdapter> {
  const folder = await openAdapterFolder(path);
  refuseMethod(folder);
  return readLoraFolder(folder, onWarning);
}

/**
 * Puts an adapter folder around a model's layers, LoRA's or another method's, or moves its weights as a subspace's
 * folder says.
 */
export async function loadAdapterInto(
  { module }: OpenModel,
  path: string,
  onWarning?: TransferEvents['onWarning'],
): Promise<void> {
  const folder = await openAdapterFolder(path);
  if (isSubspaceConfig(folder.config)) await foldSubspace(loadSubspace(module, await readSubspace(folder)));
  else if (isMethodFolder(folder)) await attachMethod(module, await readMethod(folder));
  else await loadAdapter(module, await readLoraFolder(folder, onWarning));
}

/** Whether it holds what another method than LoRA has learned. */
export function isMethodFolder({ config }: Pick<AdapterFolder, 'config'>): boolean {
  return typeof config === 'object' && config !== null && isMethodType((config as { peft_type?: unknown }).peft_type);
}

/** Of what takes LoRA alone: merging, combining, converting, chats. @throws LowrankError `cli.method` */
export function refuseMethod(folder: AdapterFolder): void {
  if (isSubspaceConfig(folder.config))
    throw new LowrankError({
      code: 'cli.method',
      what: `adapter folder ${folder.name}`,
      expected: 'LoRA, which this needs',
      got: 'a random subspace',
      remedy: 'Use it beside its base model: `lowrank eval` and `lowrank generate` take it as it is.',
    });
  if (!isMethodFolder(folder)) return;
  const { title, name } = methodOf(folder.config as Readonly<Record<string, unknown>>);
  throw new LowrankError({
    code: 'cli.method',
    what: `adapter folder ${folder.name}`,
    expected: 'LoRA, which this needs',
    got: title,
    remedy:
      `Use it beside its base model: \`lowrank eval\`, \`lowrank generate\` and \`lowrank train --method ` +
      `${name} --init-adapter\` take it as it is.`,
  });
}

function asTargets(targets: readonly string[] | string): readonly string[] | string {
  return targets.length === 1 && targets[0] === 'all-linear' ? 'all-linear' : targets;
}

/** Each name has to match by itself: one that is misspelt would be left out without a word. */
function checkTargets({ module }: OpenModel, targets: readonly string[] | string, { modulesToSave }: LoraConfig): void {
  for (const name of [targets].flat())
    matchTargets(module, { targetModules: typeof targets === 'string' ? targets : asTargets([name]), modulesToSave });
}

/** The adapter rules; an option that says otherwise is a mistake, not a wish. */
function checkAgainst(module: OpenModel['module'], config: LoraConfig, options: AdapterOptions): void {
  const paths = (targetModules: readonly string[] | string): string =>
    [...matchTargets(module, { ...config, targetModules }).keys()].join();
  const stored = config as unknown as Readonly<Record<string, unknown>>;
  checkSame(loraSettings, options, {
    same: (name, value) =>
      name === 'targetModules'
        ? paths(asTargets(value as readonly string[] | string)) === paths(config.targetModules)
        : value === stored[name],
    stored: (name) => String(stored[name]),
  });
}
