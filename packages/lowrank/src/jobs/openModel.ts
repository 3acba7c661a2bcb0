import { withDropout, withLossTerms, withNeftune } from '@lowrank/nn';
import type { CausalModel, LossBatch, TextModel } from '@lowrank/models';
import { loadCausalModel, openFolder } from '@lowrank/models';
import type { ModelFiles } from '@lowrank/models';
import type { LossTerms, RandomState } from '@lowrank/tensor';
import type { LossFunction } from '@lowrank/trainer';
import type { Backend } from '@lowrank/tensor';
import { loadingReporter } from '../front/loadingReporter.js';
import type { TransferEvents } from './folders.js';
import type { QuantizationOptions } from './quantization.js';
import { loadedAs } from './quantization.js';

/** A model of a folder in memory, whatever it is for. */
export interface OpenedModel<Module extends TextModel = TextModel> {
  readonly folder: string;
  /** What it was loaded from; undefined of an outline without weights. */
  readonly files: ModelFiles | undefined;
  readonly module: Module;
  readonly vocabularySize: number;
  /** Tokens that fit the model's positions, without virtual ones. */
  readonly contextLength: number;
}

/** One that writes text. */
export interface OpenModel extends OpenedModel<CausalModel> {
  /** Without dropout. */
  readonly loss: LossFunction;
  /** The loss while training: dropout and noise draw from `random`. */
  trainingLoss(random: RandomState, options?: TrainingLossOptions): LossFunction;
}

/** What the loss has while training and not in an evaluation. */
export interface TrainingLossOptions extends LossTerms {
  /** Of the noise on the token embeddings. */
  readonly neftuneAlpha?: number | undefined;
}

/** Traces `fn` as training: with dropout, noise on the embeddings, and terms on the cross-entropy. */
export function asTraining<T>(random: RandomState, options: TrainingLossOptions | undefined, fn: () => T): T {
  const { neftuneAlpha = 0, labelSmoothing, zLoss } = options ?? {};
  const withTerms = (): T => withLossTerms({ labelSmoothing, zLoss }, fn);
  return withDropout(random, () => withNeftune(neftuneAlpha, random, withTerms));
}

export interface OpenModelOptions extends TransferEvents, QuantizationOptions {
  /** Where the weights go as they arrive; without it they stay on the host until they are used. */
  readonly backend?: (() => Promise<Backend>) | undefined;
  /** All of it is trained: the codes of a GGUF file become numbers. */
  readonly dense?: boolean;
}

export async function openModel(folder: string, options: OpenModelOptions = {}): Promise<OpenModel> {
  const { onTransfer, onWarning, backend } = options;
  const files = await openFolder(folder);
  const module = await loadCausalModel(files, {
    backend,
    onWarning,
    ...loadedAs(options),
    widen: options.dense === true && files.weights !== undefined,
    onProgress: loadingReporter(onTransfer),
  });
  return asOpenModel(folder, module, files);
}

/** A model, with or without weights, as the jobs take it. */
export function asOpenModel(folder: string, module: CausalModel, files?: ModelFiles): OpenModel {
  return Object.assign(asOpenedModel(folder, module, files), {
    loss: (batch: LossBatch) => module.loss(batch),
    trainingLoss: (random: RandomState, options?: TrainingLossOptions) => (batch: LossBatch) =>
      asTraining(random, options, () => module.loss(batch)),
  });
}

/** The same of a model for whatever. */
export function asOpenedModel<Module extends TextModel>(
  folder: string,
  module: Module,
  files?: ModelFiles,
): OpenedModel<Module> {
  const { shape } = module;
  return {
    folder,
    files,
    module,
    get vocabularySize() {
      return shape.vocabularySize;
    },
    get contextLength() {
      return shape.maxPositions - module.virtualTokens;
    },
  };
}
