import type { SettingTable } from '@lowrank/settings';
import type { Tensor } from '@lowrank/tensor';
import type { MeasuredLoss, TokenInput } from '../batch.js';

type Tokens = Readonly<Record<TokenInput, Tensor>>;

/** A language model as objectives see it: models' `CausalModel` is one. */
export interface ScoredModel {
  /** Σ over positions with a label of −log p(label). */
  loss(batch: Tokens): Tensor;
  /** −log p(label) of every position [B·T], 0 where there is no label. */
  losses(batch: Tokens): Tensor;
}

/**
 * What a preference loss reads of a batch, beside the tokens: D documents, of which each has a slot. Of P pairs the
 * first P slots are the chosen ones, in the order of the pairs, and the others the rejected ones.
 */
export type DocumentInput =
  | TokenInput
  /** i32 [B, T]: the slot of the document whose completion the position's label belongs to; negative for others. */
  | 'documents'
  /** f32 [D]: 0, 1, 2, … */
  | 'slots'
  /** f32 [D]: tokens of the completion that a model can be asked for: all but one at position 0. */
  | 'lengths'
  /** f32 [P] (of KTO [D]): 1, or 0 for a slot that holds nothing. */
  | 'weights'
  /** f32 [D]: log probabilities of the model at its start. */
  | 'reference'
  /**
   * f32 [B, T]: factors on the labels' cross-entropy that the loss adds; there only where the objective asks for it.
   */
  | 'nll';

/** What KTO reads besides: the same completions behind other prompts, whose log probabilities estimate the KL. */
export type JudgedInput =
  | DocumentInput
  /** f32 [D]: 1 for a good completion, −1 for another one. */
  | 'signs'
  /** f32 [D]: rows of the step / good rows of the step, or −rows / other rows: what makes a difference of means. */
  | 'balance'
  | `mismatched${Capitalize<TokenInput | 'documents' | 'reference'>}`;

/** On which tokens of the chosen document a loss adds the cross-entropy. */
export type NllTokens = 'document' | 'completion';

/** What a run minimizes: an object in a file of its own, listed in objectives.ts. */
export interface Objective<Table extends SettingTable = SettingTable> {
  /** As `--loss` has it. */
  readonly name: string;
  /** In sentences. */
  readonly title: string;
  /** What its rows are: texts, pairs of a better and a worse completion, or completions judged one by one. */
  readonly rows: 'sft' | 'preference' | 'kto';
  readonly settings: Table;
  /** Whether the loss looks at log probabilities of the model at its start. */
  readonly hasReference: boolean;
  readonly nll?: (options: object) => NllTokens | undefined;
  /** Σ over the rows of a batch; `train` divides it by their number. */
  loss(model: ScoredModel, inputs: Readonly<Record<string, Tensor>>, options: object): MeasuredLoss;
}
