import type { Layer, Module } from '@lowrank/nn';
import { Linear } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import type { TextModel } from './textModel.js';
import type { WeightSource } from './weights.js';

/**
 * What a head makes of a text or an image: one row of logits, one for each token, where a span begins and ends, or
 * nothing.
 */
export const headKinds = ['sequence', 'tokens', 'span', 'embedding', 'image'] as const;
/**
 * A task's head: `sequence`, `tokens` and `image` classify, `span` finds an answer, `embedding` gives a vector.
 */
export type HeadKind = (typeof headKinds)[number];

/** A task's head, to be put on the body of a model. */
export interface HeadRequest {
  readonly kind: HeadKind;
  /** Columns of its logits; a span has two, an embedding none. */
  readonly labels: number;
  /** Of the weights that a checkpoint lacks. Default 0. */
  readonly seed?: number | undefined;
}

/** A module of a head as it is now, with what was put around it. */
export type HeadLayers = (name: string) => Pick<Layer, 'forward'>;

/** A task's head on the body of a model: hidden states → logits or vectors. */
export interface Head {
  /** Its modules by their names in the model's tree; none of them is ever quantized. */
  readonly modules: Readonly<Record<string, Module>>;
  /**
   * Which hidden states it takes: that of a document's first token, of its last, the mean of all, each of them, or
   * those of whole images [N, T, hiddenSize].
   */
  readonly reads: 'first' | 'last' | 'mean' | 'each' | 'images';
  /** Rows [N, hiddenSize], or whole images, → logits [N, labels]. */
  forward(rows: Tensor, layer: HeadLayers): Tensor;
}

/** How a family makes heads: from the weights of the whole model, on a body that is built already. */
export type HeadMaker<Config, Body extends TextModel = TextModel> = (parts: {
  readonly config: Config;
  readonly weights: WeightSource;
  readonly body: Body;
  readonly request: HeadRequest;
}) => Head | undefined;

/** PEFT's task types; it has none for images. */
export const taskTypes: Readonly<Record<HeadKind, string | null>> = {
  sequence: 'SEQ_CLS',
  tokens: 'TOKEN_CLS',
  span: 'QUESTION_ANS',
  embedding: 'FEATURE_EXTRACTION',
  image: null,
};

/** The modules that PEFT trains whole for a task, whether a model has them or not; of images those that people name. */
export const peftHeads: Readonly<Record<HeadKind, readonly string[]>> = {
  sequence: ['classifier', 'score'],
  tokens: ['classifier', 'score'],
  span: ['qa_outputs'],
  embedding: [],
  image: ['classifier'],
};

/** What the end of a class's name in transformers is for a head: `BertForSequenceClassification`. */
export const headClasses: Readonly<Record<HeadKind, string>> = {
  sequence: 'ForSequenceClassification',
  tokens: 'ForTokenClassification',
  span: 'ForQuestionAnswering',
  embedding: 'Model',
  image: 'ForImageClassification',
};

/** Hidden states as they are. */
export const noHead: Head = { modules: {}, reads: 'each', forward: (rows) => rows };

/** `name` as a linear layer in f32, never in codes. */
export function headLinear(
  weights: WeightSource,
  name: string,
  shape: readonly [out: number, input: number],
  { bias = true }: { readonly bias?: boolean } = {},
): Linear {
  // In f32, whatever a checkpoint has: it is trained where it is.
  const matrix = weights.vector(`${name}.weight`, shape);
  return new Linear(matrix, bias ? weights.vector(`${name}.bias`, [shape[0]]) : undefined);
}

/** One linear layer on the hidden states. */
export function linearHead(
  name: string,
  { weights, body, request }: Parameters<HeadMaker<unknown>>[0],
  { reads, bias = true }: { readonly reads: Head['reads']; readonly bias?: boolean },
): Head {
  return {
    modules: { [name]: headLinear(weights, name, [request.labels, body.shape.hiddenSize], { bias }) },
    reads,
    forward: (rows, layer) => layer(name).forward(rows),
  };
}

/** The logits of a decoder's last token: `score`, as transformers' GenericForSequenceClassification. */
export const scoreHead: HeadMaker<unknown> = (parts) =>
  parts.request.kind === 'sequence' ? linearHead('score', parts, { reads: 'last', bias: false }) : undefined;
