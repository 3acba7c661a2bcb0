import type { AttentionContext, LayerCache } from '@lowrank/nn';
import { Module } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import type { FamilyFacts } from './familyFacts.js';

/** What every language model says about itself, under whatever names its config has. */
export interface ModelShape {
  readonly modelType: string;
  /** What `resizeTokens` changes. */
  vocabularySize: number;
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly headSize: number;
  readonly maxPositions: number;
  /** Token ids of the config; the tokenizer may know better. */
  readonly bosId: number | undefined;
  readonly eosIds: readonly number[];
}

/**
 * A model that reads token ids (or, of a vision family, images): a decoder, an encoder, or one of them with a head for
 * a task. What its family states about itself goes with it, for adapters, merges and conversions.
 */
export abstract class TextModel extends Module {
  abstract readonly shape: ModelShape;
  /** The path of the embedding that reads token ids. */
  abstract readonly embeddingPath: string;
  /** What the family that built it states about itself; a model of your own has none. */
  family: FamilyFacts | undefined;
  /** Dropouts of its config that are above 0, such as `attn_pdrop 0.1`: transformers trains with them, Lowrank not. */
  dropouts: readonly string[] = [];
  /** `pad_token_id` of its config. */
  paddingId: number | undefined;
  /** Factor on the embedding's rows (Gemma's √width). */
  readonly embeddingScale: number = 1;
  /**
   * Positions at the beginning of every document that are no tokens: what prompt and prefix tuning put there. Their ids
   * follow the vocabulary. Whoever lays out rows puts them before each; a generator does so by itself.
   */
  virtualTokens = 0;
  /** Whether those have hidden states of their own (prompt tuning), or keys and values alone (prefix tuning). */
  virtualStates = true;
  /** What PEFT calls the task that the model is made for; null where it has no word for it. */
  readonly taskType: string | null = 'CAUSAL_LM';
  /** PEFT's `auto_mapping`: the class that an adapter belongs to, where no task type says so. */
  readonly autoMapping: Readonly<Record<string, string>> | undefined = undefined;

  /** Beginnings of the names of weights that a checkpoint may hold and this form of the model does without. */
  unusedWeights: readonly string[] = [];

  /** The modules that are trained whole whatever the method, and saved with it: a task's head. */
  get headModules(): readonly string[] {
    return [];
  }

  /** The layers that an adapter goes around where none are named: PEFT's choice. */
  get defaultTargets(): readonly string[] {
    return this.family?.defaultTargets ?? [];
  }

  /** The layers whose output is added to the residual stream, by the ends of their paths. */
  get residualWriters(): readonly string[] {
    return this.family?.residualWriters ?? [];
  }

  /**
   * The path of a module or tensor by the name that an adapter's files have for it; undefined where it has none here.
   */
  override pathOf(stored: string): string | undefined {
    return this.family?.pathOf === undefined ? stored : this.family.pathOf(stored);
  }

  /** The name that transformers' files have for a path of this model with its head. */
  storedName(path: string): string {
    return this.family?.storedName?.(path) ?? path;
  }

  /** ids i32 [B, T] → hidden states after the final norm [B, T, hiddenSize]. */
  abstract hidden(ids: Tensor, context: AttentionContext, caches?: readonly LayerCache[]): Tensor;
}
