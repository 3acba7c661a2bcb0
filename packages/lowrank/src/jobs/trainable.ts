import { LowrankError } from '@lowrank/errors';
import type { LoraAdapter, LoraConfig } from '@lowrank/lora';
import { defaultTargets, loraConfig, readAdapter } from '@lowrank/lora';
import { openFolder, readJson, requireFile } from '@lowrank/models';
import { attachAdapter, createAdapter, injectLoftq, matchTargets, withLoraPlus } from '@lowrank/patch';
import type { NamedParameter } from '@lowrank/patch';
import type { QuantizationSettings } from '@lowrank/quant';
import type { TrainedParameter } from '@lowrank/trainer';
import { saveAdapter } from '../saveAdapter.js';
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

/**
 * A new adapter, or one to go on from, to be saved as PEFT files.
 *
 * @param quantization how the model was quantized while it was loaded: what LoftQ goes by
 */
export async function trainAdapter(model: OpenModel, flags: AdapterFlags, quantization?: QuantizationSettings): Promise<Trainable> {
  const { module } = model;
  const { outputPath } = module;
  let config: LoraConfig;
  let parameters: readonly NamedParameter[];
  if (flags.initAdapter === undefined) {
    const { trainableTokens } = flags;
    const { r, alpha, dropout = 0, targetModules = defaultTargets(module.shape.modelType), seed, initLoraWeights: init } = flags;
    config = loraConfig({ r, alpha, dropout, targetModules: asTargets(targetModules), init: init ?? 'kaiming', ...variantSettings(flags), ...(trainableTokens === undefined ? {} : { trainableTokenIndices: await tokenIdsOf(trainableTokens, model.folder) }), baseModel: flags.baseModel ?? model.folder, taskType: 'CAUSAL_LM' });
    checkTargets(model, targetModules, config);
    const options = { outputPath, seed };
    parameters = init === 'loftq' ? await injectLoftq(module, config, { ...options, base: await loftqBase(model.folder, quantization) }) : await createAdapter(module, config, options);
  } else {
    const adapter = await readAdapterFolder(flags.initAdapter, flags.onWarning);
    checkAgainst(model, adapter.config, flags);
    config = { ...adapter.config, dropout: flags.dropout ?? adapter.config.dropout };
    parameters = await attachAdapter(module, { ...adapter, config }, { outputPath });
  }
  const { loraPlusRatio } = flags;
  return { parameters: loraPlusRatio === undefined ? parameters : withLoraPlus(parameters, loraPlusRatio), save: (folder) => saveAdapter(module, config, folder) };
}

/** Every weight, to be saved as a model folder. */
export function trainWeights(model: OpenModel): Trainable {
  const parameters = [...model.module.namedParameters()].map(([name, parameter]) => ({ name, parameter }));
  return { parameters, save: (folder) => saveWeights(model, folder) };
}

/** An adapter folder's configuration and weights, to be read. */
export async function openAdapterFolder(path: string): Promise<Parameters<typeof readAdapter>[0]> {
  const files = await openFolder(path);
  const has = async (name: string): Promise<boolean> => (await files.file(name)) !== undefined;
  const config = await readJson(files, 'adapter_config.json');
  if (!(await has('adapter_model.safetensors')) && (await has('adapter_model.bin'))) {
    throw new LowrankError({ code: 'cli.pickle', what: `adapter folder ${path}`, expected: 'adapter_model.safetensors', got: 'adapter_model.bin, a pickle', remedy: 'Load and save it with a recent PEFT: a pickle can run code when it is read.' });
  }
  if (!(await has('adapter_model.safetensors')) && (await has('adapters.safetensors'))) {
    throw new LowrankError({ code: 'cli.mlxAdapter', what: `adapter folder ${path}`, expected: 'an adapter of PEFT', got: 'one of mlx-lm', remedy: `Convert it: lowrank convert --from mlx --adapter ${path} --output FOLDER` });
  }
  return { config, weights: await requireFile(files, 'adapter_model.safetensors'), name: path };
}

/** @param onWarning is told what of its configuration was left aside */
export async function readAdapterFolder(path: string, onWarning?: TransferEvents['onWarning']): Promise<LoraAdapter> {
  const adapter = await readAdapter(await openAdapterFolder(path));
  for (const text of adapter.warnings ?? []) onWarning?.(text);
  return adapter;
}

/** Puts an adapter folder around a model's layers. */
export async function loadAdapterInto({ module }: OpenModel, path: string, onWarning?: TransferEvents['onWarning']): Promise<void> {
  await attachAdapter(module, await readAdapterFolder(path, onWarning), { outputPath: module.outputPath });
}

function asTargets(names: readonly string[]): readonly string[] | string {
  return names.length === 1 && names[0] === 'all-linear' ? 'all-linear' : names;
}

/** Each name has to match by itself: one that is misspelt would be left out without a word. */
function checkTargets({ module }: OpenModel, names: readonly string[], { modulesToSave }: LoraConfig): void {
  for (const name of names) matchTargets(module, { targetModules: asTargets([name]), modulesToSave }, { outputPath: module.outputPath });
}

/** The adapter rules; a flag that says otherwise is a mistake, not a wish. */
function checkAgainst({ module }: OpenModel, config: LoraConfig, { r, alpha, targetModules }: AdapterFlags): void {
  const refuse = (flag: string, expected: unknown, got: unknown): never => {
    throw new LowrankError({ code: 'cli.conflict', what: `${flag} with --init-adapter`, expected: `${String(expected)}, which the adapter was made with`, got: String(got), remedy: `Leave ${flag} out, or start without --init-adapter.` });
  };
  if (r !== undefined && r !== config.r) refuse('--r', config.r, r);
  if (alpha !== undefined && alpha !== config.alpha) refuse('--alpha', config.alpha, alpha);
  if (targetModules === undefined) return;
  const paths = (targets: readonly string[] | string): string =>
    [...matchTargets(module, { ...config, targetModules: targets }, { outputPath: module.outputPath }).keys()].join();
  if (paths(asTargets(targetModules)) !== paths(config.targetModules)) refuse('--target-modules', config.targetModules, targetModules);
}
