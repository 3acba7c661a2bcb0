import type { TrainedParameter } from '@lowrank/nn';
import { LowrankError } from '@lowrank/errors';
import type { LoraAdapter, LoraConfig } from '@lowrank/lora';
import { evaConfig, loraConfig } from '@lowrank/lora';
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
import type { AdapterOptions, PlacedAdapter } from '@lowrank/patch';
import type { QuantizationSettings } from '@lowrank/quant';

import type { AdapterFolder } from '../adapterFolder.js';
import { openAdapterFolder, readLoraFolder } from '../adapterFolder.js';
import { saveAdapter } from '../saveAdapter.js';
import type { EvaData } from './eva.js';
import { evaMeasure } from './eva.js';
import type { TransferEvents } from './folders.js';
import { loftqBase } from './loftq.js';
import type { OpenModel } from './openModel.js';
import { saveWeights } from './saveWeights.js';
import { tokenIdsOf } from './trainedTokens.js';
import { variantSettings } from './variantFlags.js';
import type { VariantFlags } from './variantFlags.js';

/** What is trained of a model, and how it is saved. */
export interface Trainable {
  readonly parameters: readonly TrainedParameter[];
  save(folder: string): Promise<void>;
}

export interface AdapterFlags extends VariantFlags, Pick<TransferEvents, 'onWarning'> {
  readonly r?: number;
  readonly alpha?: number;
  readonly dropout?: number;
  readonly targetModules?: readonly string[];
  readonly seed: number;
  readonly initAdapter?: string;
  /** What the adapter is for, as it was given: a hub id stays one. Default: the model's folder. */
  readonly baseModel?: string;
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
  flags: AdapterFlags,
  sources: InitSources = {},
): Promise<Trainable> {
  const { module } = model;
  let placed: PlacedAdapter;
  if (flags.initAdapter === undefined) {
    const { trainableTokens } = flags;
    const { r, alpha, dropout = 0, targetModules = module.defaultTargets, seed, initLoraWeights: init } = flags;
    const eva = init === 'eva' ? { eva: evaConfig({ rho: flags.evaRho }) } : {};
    const given = loraConfig({
      r,
      alpha,
      dropout,
      targetModules: asTargets(targetModules),
      init: init ?? 'kaiming',
      ...eva,
      ...variantSettings(flags),
      ...(trainableTokens === undefined
        ? {}
        : { trainableTokenIndices: await tokenIdsOf(trainableTokens, model.folder) }),
      baseModel: flags.baseModel ?? model.folder,
      taskType: 'CAUSAL_LM',
    });
    checkTargets(model, targetModules, given);
    placed = await newAdapter(model, given, { options: { seed }, sources });
  } else {
    const adapter = await readAdapterFolder(flags.initAdapter, flags.onWarning);
    checkAgainst(model, adapter.config, flags);
    const config = { ...adapter.config, dropout: flags.dropout ?? adapter.config.dropout };
    placed = await loadAdapter(module, { ...adapter, config });
  }
  const { parameters } = placed;
  const { loraPlusRatio } = flags;
  return {
    parameters: loraPlusRatio === undefined ? parameters : withLoraPlus(parameters, loraPlusRatio),
    save: async (folder) => void (await saveAdapter(module, folder)),
  };
}

async function newAdapter(
  { module, folder }: OpenModel,
  config: LoraConfig,
  { options, sources }: { options: AdapterOptions; sources: InitSources },
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

function asTargets(names: readonly string[]): readonly string[] | string {
  return names.length === 1 && names[0] === 'all-linear' ? 'all-linear' : names;
}

/** Each name has to match by itself: one that is misspelt would be left out without a word. */
function checkTargets({ module }: OpenModel, names: readonly string[], { modulesToSave }: LoraConfig): void {
  for (const name of names) matchTargets(module, { targetModules: asTargets([name]), modulesToSave });
}

/** The adapter rules; a flag that says otherwise is a mistake, not a wish. */
function checkAgainst({ module }: OpenModel, config: LoraConfig, { r, alpha, targetModules }: AdapterFlags): void {
  const refuse = (flag: string, expected: unknown, got: unknown): never => {
    throw new LowrankError({
      code: 'cli.conflict',
      what: `${flag} with --init-adapter`,
      expected: `${String(expected)}, which the adapter was made with`,
      got: String(got),
      remedy: `Leave ${flag} out, or start without --init-adapter.`,
    });
  };
  if (r !== undefined && r !== config.r) refuse('--r', config.r, r);
  if (alpha !== undefined && alpha !== config.alpha) refuse('--alpha', config.alpha, alpha);
  if (targetModules === undefined) return;
  const paths = (targets: readonly string[] | string): string =>
    [...matchTargets(module, { ...config, targetModules: targets }).keys()].join();
  if (paths(asTargets(targetModules)) !== paths(config.targetModules))
    refuse('--target-modules', config.targetModules, targetModules);
}
