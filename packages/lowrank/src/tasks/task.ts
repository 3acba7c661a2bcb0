import type { EncodedRow, ImageProcessor, Pixels, RecordRow, TextTokenizer } from '@lowrank/data';
import type { HeadKind, ModelShape, TaskBatch, TaskModel } from '@lowrank/models';
import type { HostTensor, Tensor } from '@lowrank/tensor';
import type { MeasuredLoss } from '@lowrank/trainer';
import type { Labels, ProblemType } from './labels.js';

export const taskNames = [
  'text-classification',
  'token-classification',
  'question-answering',
  'feature-extraction',
  'image-classification',
] as const;
/** A task besides writing text, as `--task` and `loadModel` name it. */
export type TaskName = (typeof taskNames)[number];

/** A row of a task, checked. */
export interface TaskRow {
  readonly line: number;
  /** Its file and line, for errors. */
  readonly where: string;
  /** What is asked, as a text: rows that ask the same are held out together. */
  readonly key: string;
}

/** A text as the model reads it: a sequence of tokens that sees itself alone. */
export interface TaskDocument {
  readonly ids: readonly number[];
  /** 0 in the first text of a pair, 1 in the second. */
  readonly types: readonly number[];
  /** Tokens before truncation. */
  readonly fullLength: number;
}

/** What is drawn into batches: a row of several documents that belong together, or one of them. */
export interface TaskUnit<Document extends TaskDocument = TaskDocument> extends EncodedRow {
  readonly documents: readonly Document[];
  /** The place of its row. */
  readonly row: number;
}

/** Settings of tasks, as their table declares them. */
export interface TaskOptions {
  readonly docStride?: number | undefined;
  readonly maxAnswerLength?: number | undefined;
  readonly nBest?: number | undefined;
  readonly impossibleAnswers?: boolean | undefined;
  readonly temperature?: number | undefined;
}

/** What makes a model's input of images. */
export interface ImageInput {
  readonly processor: ImageProcessor;
  /** Positions that the model has for an image of this size: its patches, and a class token. */
  positionsOf(image: Pick<Pixels, 'height' | 'width'>): number;
}

export interface TaskContext {
  readonly tokenizer: TextTokenizer;
  /** Of a model that reads images. */
  readonly images?: ImageInput | undefined;
  readonly labels: Labels;
  readonly maxLength: number;
  readonly options: TaskOptions;
  /** Bytes of prepared images that stay in memory; others are read again when it is their turn. Default: none. */
  readonly heldBytes?: number | undefined;
}

/** Where documents lie in a batch. */
export interface Placed<Document extends TaskDocument = TaskDocument> {
  readonly document: Document;
  /** Its first token among all B·T positions. */
  readonly start: number;
}

export interface TargetLayout<Document extends TaskDocument = TaskDocument> {
  readonly placed: readonly Placed<Document>[];
  /** Documents that the batch has room for. */
  readonly slots: number;
  /** B·T. */
  readonly size: number;
  readonly labels: Labels;
  readonly images?: ImageInput | undefined;
}

/** Inputs of a batch within a traced function, by name. */
export type TaskInputs = Readonly<Record<string, Tensor>>;

/** What a model said of a document: rows of its logits. */
export interface Output<Document extends TaskDocument = TaskDocument> {
  readonly document: Document;
  readonly values: Float32Array;
}

/** What is printed of a row, as JSON. */
export type Prediction = Readonly<Record<string, unknown>>;
export type Scores = Readonly<Record<string, number>>;

/**
 * What a model is used for: an object in a file of its own, listed in tasks.ts. Training, evaluation, prediction and
 * comparison use these members and know no task by name.
 */
export interface Task<Row extends TaskRow = TaskRow, Document extends TaskDocument = TaskDocument> {
  readonly name: TaskName;
  /** In sentences. */
  readonly title: string;
  readonly kind: HeadKind;
  /** Forms of its rows, for errors. */
  readonly rows: string;
  /** The score that comparisons go by. */
  readonly headline: string;
  /** Whether records of these keys are its rows. */
  matches(values: Readonly<Record<string, unknown>>): boolean;
  /** A record as a row; `asked` alone where there is nothing to compare an answer with. @throws LowrankError */
  read(record: RecordRow, options: { readonly isAsked: boolean }): Row;
  /** What rows are labelled with; `asked` is how they are to be understood, where that is said. */
  labels(rows: readonly Row[], known: Labels | undefined, asked?: ProblemType): Labels;
  /** What the rows that are asked say of the options that are not given. */
  optionsOf?(rows: readonly Row[]): TaskOptions;
  /** Rows with a way to what they name besides themselves: images, as many as may be held read already. */
  open?(rows: readonly Row[], context: TaskContext): Promise<readonly Row[]>;
  /** A row as the model reads it: units of documents. */
  encode(row: Row, context: TaskContext): readonly (readonly Document[])[];
  /** A document with what its row names: an image. Called for each batch that it is in. */
  fetch?(document: Document): Promise<Document>;
  /** The documents of a row whose texts have so many tokens each, with answers: what a plan lays out. */
  outline?(length: number, shape: ModelShape): readonly Document[];
  /** What the loss compares with, besides the documents themselves. */
  targets(layout: TargetLayout<Document>): Readonly<Record<string, HostTensor>>;
  /** What a batch of such documents counts as in a mean. */
  weight(documents: readonly Document[]): number;
  /** Σ over what `weight` counts. */
  loss(model: TaskModel, batch: TaskBatch, inputs: TaskInputs, labels: Labels): MeasuredLoss;
  /** What predictions are made from: rows of numbers, for each document or for each token. */
  outputs(model: TaskModel, batch: TaskBatch, inputs: TaskInputs): Tensor;
  predict(row: Row, outputs: readonly Output<Document>[], context: TaskContext): Prediction;
  score(rows: readonly Row[], predictions: readonly Prediction[], context: Pick<TaskContext, 'labels'>): Scores;
}

/** The scores that rows with such labels have, as `--metric` and `--eval-metric` name them. */
export function scoreNames(task: Task, labels: Labels): string[] {
  return Object.keys(task.score([], [], { labels })).map((name) => name.replaceAll('_', '-'));
}
