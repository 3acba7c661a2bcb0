import { crossEntropy } from '@lowrank/tensor';
import { blankDocument } from './encodeTexts.js';
import { columnOf, labelId, namesOf } from './labels.js';
import { rightAnswers } from './losses.js';
import { badRow, has, whereOf } from './rowKeys.js';
import { entityScores } from './scores.js';
import type { Task, TaskDocument, TaskRow } from './task.js';
import { largest } from './textClassification.js';

type Tag = string | number;

interface TaggedRow extends TaskRow {
  readonly words: readonly string[];
  readonly tags: readonly Tag[] | undefined;
}

interface TaggedDocument extends TaskDocument {
  /** The token that each word's tag stands on: its first; −1 where it was cut off or has none. */
  readonly firsts: readonly number[];
  /** The column of each word's tag; undefined where they are asked for. */
  readonly columns: readonly number[] | undefined;
}

/**
 * A tag for each word: the first piece of a word carries its label, the others none (−100), and the loss is the mean
 * over labels, as in transformers' token-classification example. The score is F1 of entities, as seqeval.
 */
export const tokenClassification: Task<TaggedRow, TaggedDocument> = {
  name: 'token-classification',
  title: 'tagging words',
  kind: 'tokens',
  rows: '{"tokens", "tags"} or {"tokens", "ner_tags"}: lists of one length',
  headline: 'f1',
  matches: (values) => has(values, 'tokens', 'tags') || has(values, 'tokens', 'ner_tags'),

  read(record, { isAsked }) {
    const { line, values } = record;
    const { text } = values;
    const words = values['tokens'] ?? (isAsked && typeof text === 'string' ? (text.match(/\S+/g) ?? []) : undefined);
    if (!Array.isArray(words) || !words.every((word): word is string => typeof word === 'string'))
      return badRow(record, 'tokens', 'a list of words', words);
    const row = { line, where: whereOf(record), key: words.join(' '), words };
    if (isAsked) return { ...row, tags: undefined };
    const given = values['tags'] ?? values['ner_tags'] ?? undefined;
    const isTag = (tag: unknown): tag is Tag => typeof tag === 'string' || typeof tag === 'number';
    if (!Array.isArray(given) || !given.every(isTag) || given.length !== words.length)
      return badRow(record, 'tags', `a list of ${words.length} tags, one for each word`, given);
    return { ...row, tags: given };
  },

  labels: (rows, known) => ({
    names: namesOf(
      rows.flatMap(({ tags = [] }) => tags),
      known?.names,
    ),
    problem: 'single_label_classification',
  }),

  encode({ words, tags, where }, { tokenizer, maxLength, labels }) {
    const { ids: text, firsts } = wordPieces(words, tokenizer);
    const around = tokenizer.assemble([]).ids.length;
    const kept = text.slice(0, Math.max(0, maxLength - around));
    const { ids, types, starts } = tokenizer.assemble(kept);
    const [start = 0] = starts;
    const places = firsts.map((at) => (at < 0 || at >= kept.length ? -1 : start + at));
    // Nothing is learned from a row without a word, and nothing is to be said of it.
    if (places.every((at) => at < 0)) return [];
    const columns = tags?.map((tag) => labelId(tag, labels, where));
    return [[{ ids, types, firsts: places, columns, fullLength: text.length + around }]];
  },

  outline: (length) => [
    {
      ...blankDocument(length),
      firsts: Array.from({ length }, (_, at) => at),
      columns: Array.from({ length }, () => 0),
    },
  ],

  targets({ placed, size }) {
    const data = new Int32Array(size).fill(-100);
    for (const { document, start } of placed)
      document.firsts.forEach((at, word) => {
        const column = document.columns?.[word];
        if (at >= 0 && column !== undefined) data[start + at] = column;
      });
    return { labels: { data, shape: [size] } };
  },

  weight: (documents) =>
    documents.reduce(
      (sum, { firsts, columns }) => sum + (columns === undefined ? 0 : firsts.filter((at) => at >= 0).length),
      0,
    ),

  loss(model, batch, { labels }) {
    if (labels === undefined) throw new TypeError('a batch without labels');
    const logits = model.logits(batch);
    return {
      loss: crossEntropy(logits, labels, { reduction: 'sum' }),
      measures: { accuracy: rightAnswers(logits, labels) },
    };
  },

  outputs: (model, batch) => model.logits(batch),

  predict({ words }, outputs, { labels }) {
    const { document, values } = outputs[0] ?? { document: undefined, values: new Float32Array() };
    const width = labels.names.length;
    const logits = words.map((_, word) => {
      const at = document?.firsts[word] ?? -1;
      return at < 0 ? null : [...values.subarray(at * width, (at + 1) * width)];
    });
    // What was cut off is outside every entity, as far as anyone knows.
    const outside = labels.names.includes('O') ? 'O' : (labels.names[0] ?? '');
    return { tags: logits.map((row) => (row === null ? outside : (labels.names[largest(row)] ?? outside))), logits };
  },

  score(rows, predictions, { labels }) {
    const nameOf = (tag: Tag): string => labels.names[columnOf(tag, labels.names)] ?? String(tag);
    return entityScores(
      rows.map(({ tags = [] }) => tags.map(nameOf)),
      predictions.map((each) => each['tags'] as readonly string[]),
    );
  },
};

/** Ids of words that are cut apart already, and where each begins: as `is_split_into_words` of fast tokenizers. */
function wordPieces(
  words: readonly string[],
  tokenizer: Parameters<typeof tokenClassification.encode>[1]['tokenizer'],
): { ids: number[]; firsts: number[] } {
  const ids: number[] = [];
  const firsts = words.map((word) => {
    const own = tokenizer.encode(word, { addSpecialTokens: false });
    if (own.length === 0) return -1;
    const first = ids.length;
    for (const id of own) ids.push(id);
    return first;
  });
  return { ids, firsts };
}
