import type { KeyTable } from '@lowrank/settings';

/**
 * What llama.cpp calls a family and its tensors, as its converters write them (gguf-py's `constants.py` and
 * `tensor_mapping.py`).
 */
export interface LlamaCppNames {
  /** `general.architecture`, which the keys of its metadata begin with. */
  readonly architecture: string;
  /** The tensor of each module, by its path; `{i}` stands for the number of a layer. */
  readonly tensors: Readonly<Record<string, string>>;
  /**
   * It turns neighbouring elements of a head by position where transformers turns the two halves, so the rows of query
   * and key projections change places.
   */
  readonly interleavedHeads?: boolean;
  /** Its models have no output projection of their own: they use the embedding's table. */
  readonly tiesOutput?: boolean;
  /** Whole models can be written, not adapters alone. */
  readonly model?: {
    /** What the config means where it leaves out `max_position_embeddings`. */
    readonly maxPositions: number;
    /**
     * Factors among its metadata, by what follows the architecture's name in the key: keys of config.json, 1 if absent.
     */
    readonly factors?: Readonly<Record<string, string>>;
  };
  /** Model files are read, as bases. */
  readonly base?: LlamaCppBase;
}

/** What reading a family's model files takes to know beside what most families share. */
export interface LlamaCppBase {
  /** Its class in transformers, for `architectures` of config.json. */
  readonly className: string;
  /** θ of the rotary embedding where the file does not say; 10,000 by default. */
  readonly rotaryTheta?: number;
  /** Norms are stored as 1 + w. */
  readonly normOffset?: 1;
  /** Keys of config.json that are true where this tensor of layer 0 has a bias. */
  readonly biases?: Readonly<Record<string, string>>;
  /** Keys of the metadata, after the architecture's name, that `config` reads. */
  readonly keys?: readonly string[];
  /** Further keys of config.json. */
  config?(metadata: {
    readonly number: (key: string, fallback?: number) => number;
    readonly optional: (key: string) => number | undefined;
    /** What is read so far. */
    readonly config: Readonly<Record<string, unknown>>;
  }): Readonly<Record<string, unknown>>;
}

/**
 * What a family states about itself, whatever a config says: the rest of Lowrank is handed this, and knows no family.
 */
export interface FamilyFacts {
  /** As people call it. */
  readonly name: string;
  /** The values of `model_type` that it reads. */
  readonly modelTypes: readonly string[];
  /** Published models of it. */
  readonly models: string;
  /** What sets it apart from Llama's decoder. */
  readonly features: string;
  /**
   * The layers that an adapter goes around where none are named: PEFT's
   * TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING, or what it has for a family's like.
   */
  readonly defaultTargets: readonly string[];
  /** The layers whose output is added to the residual stream, by the ends of their paths. */
  readonly residualWriters: readonly string[];
  /** What becomes of each key of its config, besides those that no family reads (`otherConfigKeys`). */
  readonly configKeys: KeyTable;
  /**
   * Keys of dropouts that transformers applies while it trains and Lowrank does not, with the values of the config
   * class.
   * Default: `attention_dropout`, 0.
   */
  readonly dropouts?: Readonly<Record<string, number>>;
  /** Keys of its config that give linear layers biases. */
  readonly biasKeys?: readonly string[];
  /**
   * The path in the model of what files of other versions call otherwise; undefined for what the model leaves out, such
   * as an image tower. Default: the same.
   */
  readonly pathOf?: (stored: string) => string | undefined;
  /** What its classes in transformers begin with: `Bert` of `BertForSequenceClassification`. */
  readonly className?: string;
  /** Where llama.cpp has the family. */
  readonly llamaCpp?: LlamaCppNames;
}
