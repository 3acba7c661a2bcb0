import type { LoraConfig } from '@lowrank/lora';
import type { Module, TrainedParameter } from '@lowrank/nn';
import type { CheckpointTensor, LoftqSource, MeasureOptions } from '@lowrank/patch';
import type { ByteSource, FileContent, SafetensorsDtype, TensorEntry } from '@lowrank/safetensors';
import type { MergedOptions, SettingTable } from '@lowrank/settings';

/** What a method needs to know of a model besides its module tree: models' `CausalModel` is one. */
export type MethodModel = Module & {
  readonly shape: ModelSizes;
  /** The path of the output projection, which only LoRA adapts. */
  readonly outputPath: string | undefined;
  /** PEFT's targets for LoRA where none are named. */
  readonly defaultTargets: readonly string[];
  /** The layers whose output is added to the residual stream, by the ends of their paths. */
  readonly residualWriters: readonly string[];
  /** Factor on the embedding's rows. */
  readonly embeddingScale: number;
  /** Positions at the beginning of every document that hold no token of its text. */
  virtualTokens: number;
  /** Whether those have hidden states of their own, or keys and values alone. Default true. */
  virtualStates?: boolean;
  /** PEFT's name of the task that the model is made for; null where it has none. Default `CAUSAL_LM`. */
  readonly taskType?: string | null;
  /** PEFT's `auto_mapping`: the class of transformers that the model is, where the task type does not say it. */
  readonly autoMapping?: Readonly<Record<string, string>> | undefined;
  /** The name of a weight in transformers' files, by its path. Default: the same. */
  storedName?(path: string): string;
  /** The ends of the paths of modules that are trained whole and saved whatever the method: the head of a task. */
  readonly headModules?: readonly string[];
};

/** Sizes of a model that a method needs before there are weights. */
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
 * What most methods learn, as files keep it: adapter_config.json, under PEFT's keys, and tensors under the names of
 * adapter_model.safetensors.
 */
export interface MethodAdapter {
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: ReadonlyMap<string, MethodTensor>;
}

/** A method at work in a model. `Stored`: what it learns, on the host. */
export interface AppliedMethod<Stored = unknown> {
  /** What is trained; everything else of the model is frozen. */
  readonly parameters: readonly TrainedParameter[];
  /** Tensors of its own that are not trained, and that the seed alone does not make again. */
  readonly constants?: readonly TrainedParameter[] | undefined;
  /** Plain JSON: what `inject` found out about its form, and takes as `context.restored` where a run goes on. */
  readonly form?: unknown;
  /** The bytes of the file of weights that it would save, without reading any. */
  fileBytes(dtype?: 'F32' | 'BF16'): number;
  /** Reads what was learned from wherever it lives. */
  extract(): Promise<Stored>;
  /** Takes the method out of the model, which is then as it was, but frozen. */
  remove(): void;
  /** Makes the model as cheap to use as the base where the method is not so already; it stays, but training ends. */
  fold?(): Promise<void>;
}

/** An adapter's configuration, parsed as JSON alone, and its weights, to be read. */
export interface AdapterSource {
  readonly config: unknown;
  readonly weights: ByteSource;
  /** For errors: the folder. */
  readonly name: string;
}

/** A folder's files by name, in the order of writing. */
export type MethodFiles = Readonly<Record<string, FileContent>>;

/** Options that every method takes. */
export interface SharedOptions {
  /** Of random beginnings; default 0. */
  readonly seed?: number | undefined;
  /** What it is for, as a hub id or a path: `base_model_name_or_path`. */
  readonly baseModel?: string | undefined;
}

/** Options of a method: those of its tables, and the common ones. */
export type OptionsOfMethod<Tables extends readonly SettingTable[] = readonly SettingTable[]> = SharedOptions &
  Omit<MergedOptions<Tables[number]>, keyof SharedOptions>;

/** Turns text into tokens: data's `TextTokenizer` is one. */
export interface TextEncoder {
  encode(text: string, options?: { readonly addSpecialTokens?: boolean }): number[];
}

/** What some methods need from their caller; each function is called only where it is needed. */
export interface MethodContext {
  /** For texts among the options. */
  readonly tokenizer?: (() => Promise<TextEncoder>) | undefined;
  /** For LoRA with EVA: the data, and a forward pass over them. */
  readonly measure?: ((config: LoraConfig) => Promise<MeasureOptions>) | undefined;
  /** For LoRA with LoftQ: the weights before they were quantized. */
  readonly loftq?: (() => Promise<LoftqSource>) | undefined;
  /** For full fine-tuning: the tensors of the folder that the model was loaded from. */
  readonly checkpoint?: (() => Promise<readonly OriginTensor[]>) | undefined;
  /** The `form` of a run that goes on: its saved state is about to give all values. */
  readonly restored?: { readonly form: unknown } | undefined;
  /** Of training that goes on from an adapter: options that may differ from those it was made with. */
  readonly resumed?: Readonly<Record<string, unknown>> | undefined;
  /** Gets a sentence for what of an adapter's configuration was left aside. */
  readonly onWarning?: ((text: string) => void) | undefined;
}

/** A tensor of the folder that a model was loaded from. */
export interface OriginTensor extends Omit<TensorEntry, 'data' | 'dtype'> {
  readonly dtype: SafetensorsDtype;
  /** The parameter it became; undefined for parts that the model does not use. */
  readonly path: string | undefined;
  read(): Promise<Uint8Array>;
}

/** A model folder that something is merged into, its tensors dense and named by their paths in the model. */
export interface MergeBase {
  /** config.json. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: readonly CheckpointTensor[];
  /** Gets a sentence for what of an adapter has no place in the model. */
  readonly onWarning?: ((text: string) => void) | undefined;
  /** The model without weights; of another configuration than its own where one is given. */
  outline(config?: MergeBase['config']): MethodModel;
  /** The model with its weights. */
  load(): Promise<MethodModel>;
}

/** A model with what was learned in its weights. */
export interface MergedModel {
  /** The base's own where nothing of it changes. */
  readonly config: MergeBase['config'];
  /** In the base's order; new ones after those they belong to, or last. */
  readonly tensors: readonly CheckpointTensor[];
  /** Layers that changed. */
  readonly changed: number;
}

/**
 * A way of fine-tuning: an object in a file of its own, listed in methods.ts. Training, planning, comparing, merging,
 * inspecting, evaluation and generation use these members and know no method by name.
 */
export interface Method<Tables extends readonly SettingTable[] = readonly SettingTable[], Stored = unknown> {
  /** As `--method` has it. */
  readonly name: string;
  /** In sentences: 'prompt tuning'. */
  readonly title: string;
  /** The `peft_type`s of its files; none for a method that saves a model. */
  readonly peftTypes: readonly string[];
  /** The settings that it takes besides the common ones. */
  readonly settings: Tables;
  /** What its folder is. */
  readonly saves: 'adapter' | 'model';
  /** Whether it keeps the base's weights frozen, which may then be codes. */
  readonly overCodes: boolean;
  /** What it is called over codes, in comparisons and plans. */
  readonly nameOverCodes?: string;
  /** Whether its files hold the embedding and the output projection of a model whose tokens were resized. */
  readonly keepsTables?: boolean;
  /** Whether training can continue from its files. */
  readonly resumes: boolean;
  /** Learning rates that a comparison tries: what suits a method depends on how much it moves. */
  readonly learningRates?: readonly number[];
  /** Puts a new one into a model and freezes everything else. */
  inject(
    model: MethodModel,
    options?: OptionsOfMethod<Tables>,
    context?: MethodContext,
  ): Promise<AppliedMethod<Stored>>;
  /** Puts one that was saved into a model, to be used or trained further. */
  attach(model: MethodModel, stored: Stored, context?: MethodContext): Promise<AppliedMethod<Stored>>;
  /** Reads what `write` has written, or PEFT. */
  read(source: AdapterSource, context?: MethodContext): Promise<Stored>;
  write(stored: Stored): MethodFiles;
  /** The options that a saved one was made with, as far as its files say them. */
  optionsOf(stored: Stored): Readonly<Record<string, unknown>>;
  /** What a saved one is, in a few words; default: the title. */
  describe?(stored: Stored): string;
  /** @throws LowrankError `methods.merge` for a method that changes no weights, or where it does not fit */
  merge(stored: Stored, base: MergeBase): Promise<MergedModel>;
}
