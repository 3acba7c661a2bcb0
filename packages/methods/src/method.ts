import type { Module, TrainedParameter } from '@lowrank/nn';

/** What a method needs to know of a model beside its module tree: models' `CausalModel` is one. */
export type MethodModel = Module & {
  readonly shape: ModelSizes;
  /** The path of the output projection, which no method touches. */
  readonly outputPath: string;
  /** The layers whose output is added to the residual stream, by the ends of their paths. */
  readonly residualWriters: readonly string[];
  /** Factor on what is looked up in the embedding. */
  readonly embeddingScale: number;
  /** Positions at the beginning of every document that are none of its tokens. */
  virtualTokens: number;
};

export interface ModelSizes {
  readonly modelType: string;
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly headSize: number;
  readonly maxPositions: number;
}

/** A tensor on the host. */
export interface MethodTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/**
 * What was learned, as files keep it: adapter_config.json, under PEFT's keys, and tensors under the names of
 * adapter_model.safetensors.
 */
export interface MethodAdapter {
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: ReadonlyMap<string, MethodTensor>;
}

/** A method in its place in a model. */
export interface Tuning {
  /** What is trained; everything else of the model is frozen. */
  readonly parameters: readonly TrainedParameter[];
  /** The configuration that is saved, and the tensors with it. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Shapes of the tensors in the file, by name: to be known before there is one. */
  readonly stored: ReadonlyMap<string, readonly number[]>;
  /** What was learned, read from wherever it lives. */
  extract(): Promise<MethodAdapter>;
  /** Takes it out of the model, which is then as it was, but frozen. */
  remove(): void;
}

/** Settings of every new one. */
export interface CommonSettings {
  /** Of random beginnings. */
  readonly seed?: number | undefined;
  /** What it is for, as a hub id or a path: `base_model_name_or_path`. */
  readonly baseModel?: string | undefined;
}

/**
 * A way of fine-tuning that is no LoRA: an object in a file of its own, listed in tuningMethods.ts. Training, files,
 * evaluation and generation go by these members and know no method.
 */
export interface TuningMethod<Settings extends CommonSettings = CommonSettings> {
  /** As `--method` has it. */
  readonly name: string;
  /** In sentences: 'prompt tuning'. */
  readonly title: string;
  /** The `peft_type`s of its files. */
  readonly peftTypes: readonly string[];
  /** What settings are when they are not given. */
  readonly defaults: Readonly<Partial<Settings>>;
  /** Puts a new one into a model and freezes everything else. */
  inject(model: MethodModel, settings?: Settings): Promise<Tuning>;
  /** Puts one that was saved into a model, to be used or trained further. */
  attach(model: MethodModel, adapter: MethodAdapter): Promise<Tuning>;
}
