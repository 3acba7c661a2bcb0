import type { Tensor } from '@lowrank/tensor';
import {
  add,
  crossEntropy,
  matmul,
  maximum,
  mul,
  reshape,
  rsqrt,
  slice,
  square,
  sum,
  transpose,
} from '@lowrank/tensor';
import type { TaskBatch, TaskModel } from '@lowrank/models';
import { meanOf } from '@lowrank/models';
import { blankDocument, encodeTexts } from './encodeTexts.js';
import { rightAnswers } from './losses.js';
import { has, optionalText, textAt, whereOf } from './rowKeys.js';
import type { Task, TaskDocument, TaskRow } from './task.js';

interface PairRow extends TaskRow {
  /** A text, and one that means the same where there is one. */
  readonly texts: readonly [string, string | undefined];
}

/** Of sentence-transformers' MultipleNegativesRankingLoss: 1/temperature. */
const scale = 20;

/**
 * Embeddings of texts: the mean of the hidden states, of length 1. Learned from pairs of like meaning: each text is to
 * be nearer to its own partner than to those of the other rows of the micro-batch, cross-entropy of 20·cosine (InfoNCE;
 * van den Oord et al. 2018), as sentence-transformers' MultipleNegativesRankingLoss.
 */
export const featureExtraction: Task<PairRow> = {
  name: 'feature-extraction',
  title: 'embedding texts',
  kind: 'embedding',
  rows: '{"text", "text_pair"}: two texts that mean the same',
  headline: 'recall_at_1',
  matches: (values) => has(values, 'text', 'text_pair') && !has(values, 'label') && !has(values, 'labels'),

  read(record, { isAsked }) {
    const texts = [
      textAt(record, 'text'),
      isAsked ? optionalText(record, 'text_pair') : textAt(record, 'text_pair'),
    ] as const;
    return { line: record.line, where: whereOf(record), key: texts[0], texts };
  },

  labels: () => ({ names: [], problem: 'single_label_classification' }),

  encode: ({ texts }, context) => [
    texts.flatMap((text): TaskDocument[] => (text === undefined ? [] : [encodeTexts([text, undefined], context)])),
  ],

  outline: (length) => [blankDocument(length), blankDocument(length)],

  targets({ placed, slots }) {
    const pairs = Math.ceil(slots / 2);
    const labels = new Int32Array(pairs).fill(-100);
    const absent = new Float32Array(pairs).fill(1);
    for (let at = 0; 2 * at + 1 < placed.length; at++) [labels[at], absent[at]] = [at, 0];
    return { labels: { data: labels, shape: [pairs] }, absent: { data: absent, shape: [1, pairs] } };
  },

  weight: (documents) => documents.length / 2,

  loss(model, batch, { labels, absent }) {
    if (labels === undefined || absent === undefined) throw new TypeError('a batch without pairs');
    const all = embedded(model, batch);
    const width = all.shape[1] ?? 0;
    const pairs = reshape(all, [labels.size, 2, width]);
    const side = (at: number): Tensor => reshape(slice(pairs, 1, at, at + 1), [labels.size, width]);
    const logits = add(mul(matmul(side(0), transpose(side(1))), scale), mul(absent, -1e9));
    return {
      loss: crossEntropy(logits, labels, { reduction: 'sum' }),
      measures: { accuracy: rightAnswers(logits, labels) },
    };
  },

  outputs: (model, batch) => embedded(model, batch),

  predict(_, outputs) {
    const [embedding = [], pair] = outputs.map(({ values }) => [...values]);
    return { embedding, ...(pair !== undefined && { pair_embedding: pair, similarity: dot(embedding, pair) }) };
  },

  /** How often a text's partner is the nearest of all rows' partners, or among the ten nearest. */
  score(_, predictions) {
    const texts = predictions.map((each) => each['embedding'] as readonly number[]);
    const partners = predictions.map((each) => (each['pair_embedding'] ?? []) as readonly number[]);
    const ranks = texts.map((text, at) => {
      const wanted = dot(text, partners[at] ?? []);
      return partners.filter((other, place) => place !== at && dot(text, other) > wanted).length;
    });
    const within = (count: number): number => ranks.filter((rank) => rank < count).length / ranks.length;
    return { recall_at_1: within(1), recall_at_10: within(10) };
  },
};

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((total, value, at) => total + value * (b[at] ?? 0), 0);
}

/** The mean of each document's hidden states, of length 1: [N, width]. */
function embedded(model: TaskModel, batch: TaskBatch): Tensor {
  const { documents, slots } = batch;
  if (documents === undefined || slots === undefined) throw new TypeError('a batch without documents');
  const mean = meanOf(model.logits(batch), { documents, slots });
  return mul(mean, rsqrt(maximum(sum(square(mean), { axis: 1, keepDims: true }), 1e-24)));
}
