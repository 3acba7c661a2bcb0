import type { RecordRow, TextSpan } from '@lowrank/data';
import type { Tensor } from '@lowrank/tensor';
import { add, crossEntropy, embedding, mul, permute, reshape, sub } from '@lowrank/tensor';
import { bucketLength } from '@lowrank/data';
import { blankDocument } from './encodeTexts.js';
import { badRow, has, textAt, whereOf } from './rowKeys.js';
import { answerF1, plainAnswer } from './scores.js';
import type { Prediction, Task, TaskDocument, TaskRow } from './task.js';
import { softmax } from './textClassification.js';

interface Answer {
  readonly text: string;
  /** Among the context's 16-bit units. */
  readonly start: number;
}

interface AskedRow extends TaskRow {
  readonly question: string;
  readonly context: string;
  /** None where the context has no answer; undefined where it is asked for. */
  readonly answers: readonly Answer[] | undefined;
}

interface AskedDocument extends TaskDocument {
  /** The tokens of the context: first, and one past the last. */
  readonly inside: readonly [number, number];
  /** The part of the context that each of these came from. */
  readonly spans: readonly TextSpan[];
  /** First and last token of the answer; 0 and 0 where it is not in this part. Undefined where it is asked for. */
  readonly answer: readonly [number, number] | undefined;
}

/**
 * Where a context answers a question: cross-entropy of the answer's first and of its last token over the document's
 * tokens, (start + end)/2, as ...ForQuestionAnswering; an answer outside the document is its first token. Contexts that
 * are too long become several documents that overlap by `docStride` tokens. Padding takes no part in the softmax, where
 * transformers lets it.
 */
export const questionAnswering: Task<AskedRow, AskedDocument> = {
  name: 'question-answering',
  title: 'finding answers in texts',
  kind: 'span',
  rows: '{"question", "context", "answer_start", "answer_text"}, or SQuAD\'s "answers"',
  headline: 'f1',
  matches: (values) => has(values, 'question', 'context'),

  read(record, { isAsked }) {
    const [question, context] = [textAt(record, 'question'), textAt(record, 'context')];
    const key = `${question}\n${context}`;
    const row = { line: record.line, where: whereOf(record), key, question, context };
    if (isAsked) return { ...row, answers: undefined };
    const answers = answersIn(record, context);
    if (answers === undefined)
      return badRow(record, 'answer_start', '"answer_start" and "answer_text", or "answers"', undefined);
    return { ...row, answers };
  },

  optionsOf: (rows) => ({ impossibleAnswers: rows.some(({ answers }) => answers?.length === 0) }),

  labels: () => ({ names: ['start', 'end'], problem: 'single_label_classification' }),

  encode({ question, context, answers }, { tokenizer, maxLength, options }) {
    const asked = tokenizer.encode(question.trimStart(), { addSpecialTokens: false });
    const { ids: text, spans } = tokenizer.encodeWithSpans(context);
    const around = tokenizer.assemble([], []).ids.length;
    // A question that leaves no room loses its end.
    const room = Math.max(1, maxLength - around - asked.length);
    const head = asked.slice(0, Math.max(0, maxLength - around - room));
    const stride = Math.min(options.docStride ?? Math.min(128, room >> 1), room - 1);
    const parts: (readonly AskedDocument[])[] = [];
    for (let from = 0; ; from += room - stride) {
      const part = text.slice(from, from + room);
      const { ids, types, starts } = tokenizer.assemble(head, part);
      const start = starts[1] ?? 0;
      const own = spans.slice(from, from + room);
      const inside = [start, start + part.length] as const;
      const answer = answers === undefined ? undefined : answerIn(answers[0], { spans: own, start });
      parts.push([{ ids, types, inside, spans: own, answer, fullLength: ids.length }]);
      if (from + room >= text.length) return parts;
    }
  },

  outline: (length) => [{ ...blankDocument(length), inside: [0, length], spans: [], answer: [0, 0] }],

  targets({ placed, slots }) {
    const width = bucketLength(Math.max(1, ...placed.map(({ document: { ids } }) => ids.length)));
    const places = new Int32Array(slots * width);
    const outside = new Float32Array(slots * width).fill(1);
    const labels = new Int32Array(2 * slots).fill(-100);
    placed.forEach(({ document, start }, slot) => {
      document.ids.forEach((_, at) => {
        places[slot * width + at] = start + at;
        outside[slot * width + at] = 0;
      });
      if (document.answer === undefined) return;
      [labels[slot], labels[slots + slot]] = document.answer;
    });
    return {
      places: { data: places, shape: [slots * width] },
      outside: { data: outside, shape: [slots, width] },
      labels: { data: labels, shape: [2 * slots] },
    };
  },

  weight: (documents) => documents.length,

  loss(model, batch, { places, outside, labels }) {
    if (places === undefined || outside === undefined || labels === undefined) throw new TypeError('no places');
    const [slots = 0, width = 0] = outside.shape;
    // [B·T, 2] → [2, slots, width]
    const rows = permute(reshape(embedding(model.logits(batch), places), [slots, width, 2]), [2, 0, 1]);
    const hidden: Tensor = mul(outside, -1e9);
    const logits = reshape(add(mul(rows, sub(1, outside)), hidden), [2 * slots, width]);
    return { loss: mul(crossEntropy(logits, labels, { reduction: 'sum' }), 0.5), measures: {} };
  },

  outputs: (model, batch) => model.logits(batch),

  predict({ context }, outputs, { options }) {
    const { maxAnswerLength = 30, nBest = 20, impossibleAnswers = false } = options;
    const candidates = outputs.flatMap(({ document, values }) => {
      const logit = (at: number, end: number): number => values[2 * at + end] ?? -Infinity;
      const [first, last] = document.inside;
      const best = (end: number): number[] =>
        Array.from({ length: last - first }, (_, at) => first + at)
          .sort((a, b) => logit(b, end) - logit(a, end))
          .slice(0, Math.max(nBest, 20));
      return best(0).flatMap((from) =>
        best(1).flatMap((to) => {
          if (to < from || to - from + 1 > maxAnswerLength) return [];
          const [open, close] = [document.spans[from - first], document.spans[to - first]];
          if (open === undefined || close === undefined) return [];
          return [
            { start: open.start, answer: context.slice(open.start, close.end), logit: logit(from, 0) + logit(to, 1) },
          ];
        }),
      );
    });
    // No answer is the first token of every part, and as likely as where it is the least so.
    const none = Math.min(...outputs.map(({ values: [start = NaN, end = NaN] }) => start + end));
    if (impossibleAnswers) candidates.push({ start: 0, answer: '', logit: none });
    candidates.sort((a, b) => b.logit - a.logit);
    const kept = candidates.slice(0, nBest);
    const scores = softmax(kept.map(({ logit }) => logit));
    const answers = kept.map(({ answer, start }, at) => ({
      answer,
      start: Array.from(context.slice(0, start)).length,
      score: scores[at] ?? 0,
    }));
    const [first = { answer: '', start: 0, score: 0 }] = answers;
    return options.nBest === undefined ? first : { ...first, answers };
  },

  score(rows, predictions) {
    const best = (of: (wanted: string, said: string) => number): number => {
      const all = rows.map(({ answers = [] }, at) => {
        const said = String((predictions[at] as Prediction)['answer'] ?? '');
        return Math.max(
          ...(answers.length === 0 ? [''] : answers.map(({ text }) => text)).map((text) => of(text, said)),
        );
      });
      return all.reduce((sum, value) => sum + value, 0) / all.length;
    };
    return {
      exact_match: best((wanted, said) => Number(plainAnswer(wanted) === plainAnswer(said))),
      f1: best(answerF1),
    };
  },
};

/**
 * The answers of a row, none of them empty; undefined where nothing says of any. In files without types an empty cell
 * is no answer.
 *
 * @throws LowrankError `data.rowType` for what is no answer, and for one that does not stand where it says
 */
function answersIn(record: RecordRow, context: string): Answer[] | undefined {
  const { values, isUntyped = false } = record;
  const [text, start] = [values['answer_text'] ?? undefined, values['answer_start'] ?? undefined];
  if (text !== undefined || start !== undefined) return placed(record, context, { text, start });
  const squad = values['answers'] ?? undefined;
  if (squad === undefined) return isUntyped && 'answer_text' in values ? [] : undefined;
  return squadAnswers(record, squad).flatMap((answer) => placed(record, context, answer));
}

/** `[{ text, answer_start }]`, or `{ text: […], answer_start: […] }` as `datasets` has it. */
function squadAnswers(record: RecordRow, given: unknown): { readonly text: unknown; readonly start: unknown }[] {
  if (Array.isArray(given))
    return given.map((each: unknown) => {
      const { text, answer_start: start } = Object(each) as Record<string, unknown>;
      return { text, start };
    });
  const { text, answer_start: start } = Object(given) as Record<string, unknown>;
  const [texts, starts] = [[text ?? []].flat(), [start ?? []].flat()];
  if (text === undefined || texts.length !== starts.length)
    return badRow(record, 'answers', '[{"text", "answer_start"}], or {"text": […], "answer_start": […]}', given);
  return texts.map((own, at) => ({ text: own, start: starts[at] }));
}

/** An answer, or none where its text is empty. */
function placed(record: RecordRow, context: string, given: { text: unknown; start: unknown }): Answer[] {
  const { text } = given;
  if (typeof text !== 'string') return badRow(record, 'answer_text', 'a text', text);
  if (text === '') return [];
  const isCell = record.isUntyped === true && typeof given.start === 'string';
  const start = isCell ? Number(given.start) : given.start;
  if (typeof start !== 'number' || !Number.isInteger(start))
    return badRow(record, 'answer_start', 'the character that the answer begins at, from 0', given.start ?? undefined);
  // Datasets count code points, as Python does; what JavaScript made counts 16-bit units.
  const at = [unitsBefore(context, start), start].find((place) => place >= 0 && context.startsWith(text, place));
  if (at !== undefined) return [{ text, start: at }];
  return badRow(record, 'answer_start', `where the context says ${JSON.stringify(text)}`, start);
}

/** The place of a text's n-th code point among its 16-bit units. */
function unitsBefore(text: string, points: number): number {
  let at = 0;
  for (let left = points; left > 0 && at < text.length; left--) at += (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
  return points < 0 ? points : at;
}

/** First and last token of an answer whose whole is in this part; else the first of the document. */
function answerIn(
  answer: Answer | undefined,
  { spans, start }: { readonly spans: readonly TextSpan[]; readonly start: number },
): readonly [number, number] {
  if (answer === undefined) return [0, 0];
  const end = answer.start + answer.text.length;
  const first = spans.findLastIndex((span) => span.start <= answer.start);
  const last = spans.findIndex((span) => span.end >= end);
  const [open, close] = [spans[first], spans[last]];
  const isWhole = open !== undefined && close !== undefined && open.end > answer.start && last >= first;
  return isWhole ? [start + first, start + last] : [0, 0];
}
