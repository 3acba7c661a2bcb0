import type { GgufArchitecture } from '@lowrank/gguf';
import type { KeyTable } from '@lowrank/settings';

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
  /** The name that transformers' files have for a path of the model with a head. Default: the same. */
  readonly storedName?: (path: string) => string;
  /** Whether its models read images in the place of texts. */
  readonly readsImages?: boolean;
  /** What its classes in transformers begin with: `Bert` of `BertForSequenceClassification`. */
  readonly className?: string;
  /** Where llama.cpp has the family. */
  readonly llamaCpp?: GgufArchitecture;
}
