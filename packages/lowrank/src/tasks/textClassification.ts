import type { RecordRow } from '@lowrank/data';
import { Float } from '@lowrank/data';
import { LowrankError, shown } from '@lowrank/errors';
import type { HostTensor } from '@lowrank/tensor';
import type { MeasuredLoss } from '@lowrank/trainer';
import { crossEntropy, mul, reshape, square, sub, sum } from '@lowrank/tensor';
import { blankDocument, encodeTexts } from './encodeTexts.js';
import type { Labels } from './labels.js';
import { isFloatText, isNumeric, labelId, namesOf, unnamed } from './labels.js';
import { binaryCrossEntropy, rightAnswers } from './losses.js';
import { badRow, has, optionalText, textAt, whereOf } from './rowKeys.js';
import { labelScores, multiLabelScores, regressionScores } from './scores.js';
import type { Prediction, Task, TaskDocument, TaskRow } from './task.js';

type Label = string | number;

export interface ClassifiedRow extends TaskRow {
  readonly texts: readonly [string, string | undefined];
  /** One label, several, or numbers; undefined where the answer is asked for. */
  readonly label: Label | readonly Label[] | undefined;
  /** Whether the file writes a number with a point: `3.0` is 3, but no place of a label. */
  readonly hasPoint: boolean;
  /** Whether the label is a cell of a file without types, where a number is a text too. */
  readonly isCell: boolean;
}

export interface ClassifiedDocument extends TaskDocument {
  readonly target: Target;
}

/** The column of a label; of several, 1 for each that the row has; numbers. Undefined where the answer is asked for. */
type Target = number | readonly number[] | undefined;

/**
 * A label for a text or a pair of texts: cross-entropy of one label, binary cross-entropy of several at once, squared
 * error of numbers, each as transformers' ...ForSequenceClassification computes it (the mean over rows, and of several
 * columns over these).
 */
export const textClassification: Task<ClassifiedRow, ClassifiedDocument> = {
  name: 'text-classification',
  title: 'classifying texts',
  kind: 'sequence',
  rows: '{"text", "label"}, with "text_pair" for pairs and "labels" for several at once',
  headline: 'accuracy',
  matches: (values) => has(values, 'text', 'label') || has(values, 'text', 'labels'),

  read(record, options) {
    const texts = [textAt(record, 'text'), optionalText(record, 'text_pair')] as const;
    return { line: record.line, where: whereOf(record), key: texts.join('\n'), texts, ...labelOf(record, options) };
  },

  labels(rows, known, asked) {
    const given = rows.flatMap(({ label }) => (label === undefined ? [] : [label]));
    if (given.length === 0)
      return (
        known ?? { names: unnamed(asked === 'regression' ? 1 : 2), problem: asked ?? 'single_label_classification' }
      );
    if ((asked ?? (areNumbers(rows) ? 'regression' : undefined)) === 'regression') {
      const count = Math.max(...given.map((label) => (Array.isArray(label) ? label.length : 1)));
      return { names: unnamed(count), problem: 'regression' };
    }
    const isSeveral = given.some((label) => Array.isArray(label));
    for (const row of rows) checkDistinct(row);
    const problem = asked ?? (isSeveral ? 'multi_label_classification' : 'single_label_classification');
    return { names: namesOf(given.flat(), known?.names), problem };
  },

  encode: (row, context) => [[{ ...encodeTexts(row.texts, context), target: targetOf(row, context.labels) }]],

  outline: (length) => [{ ...blankDocument(length), target: 0 }],

  targets({ placed, slots, labels }): Readonly<Record<string, HostTensor>> {
    const { names, problem } = labels;
    if (problem === 'single_label_classification') {
      const data = new Int32Array(slots).fill(-100);
      placed.forEach(({ document: { target } }, at) => {
        if (typeof target === 'number') data[at] = target;
      });
      return { labels: { data, shape: [slots] } };
    }
    const targets = new Float32Array(slots * names.length);
    const weights = new Float32Array(slots);
    placed.forEach(({ document: { target } }, at) => {
      if (target === undefined) return;
      weights[at] = 1;
      targets.set([target].flat(), at * names.length);
    });
    const matrix: HostTensor = { data: targets, shape: [slots, names.length] };
    return { targets: matrix, weights: { data: weights, shape: [slots] } };
  },

  weight: (documents) => documents.length,

  loss(model, batch, inputs, { names, problem }): MeasuredLoss {
    const logits = model.logits(batch);
    const { labels, targets, weights } = inputs;
    if (labels !== undefined)
      return {
        loss: crossEntropy(logits, labels, { reduction: 'sum' }),
        measures: { accuracy: rightAnswers(logits, labels) },
      };
    if (targets === undefined || weights === undefined) throw new TypeError('a batch without targets');
    const each = problem === 'regression' ? square(sub(logits, targets)) : binaryCrossEntropy(logits, targets);
    const counted = mul(each, reshape(weights, [weights.size, 1]));
    return { loss: mul(sum(counted), 1 / names.length), measures: {} };
  },

  outputs: (model, batch) => model.logits(batch),

  predict(_, outputs, { labels }) {
    const logits = [...(outputs[0]?.values ?? [])];
    return prediction(logits, labels);
  },

  score(rows, predictions, { labels }) {
    const { names, problem } = labels;
    const logits = predictions.map((each) => each['logits'] as readonly number[]);
    const wanted = rows.map((row) => [targetOf(row, labels) ?? []].flat());
    if (problem === 'regression') return regressionScores(wanted.flat(), logits.flat());
    if (problem === 'multi_label_classification')
      return multiLabelScores(
        wanted.map((row) => row.map((value) => value > 0)),
        logits.map((row) => row.map((value) => value > 0)),
      );
    return labelScores(wanted.flat(), logits.map(largest), names.length);
  },
};

/** The label of a row, and how it is written; none of a row that is asked about. @throws LowrankError `data.rowType` */
export function labelOf(
  record: RecordRow,
  { isAsked }: { readonly isAsked: boolean },
): Pick<ClassifiedRow, 'label' | 'hasPoint' | 'isCell'> {
  const given = isAsked ? undefined : (record.values['label'] ?? record.values['labels'] ?? undefined);
  if (given === undefined && !isAsked) badRow(record, 'label', 'a label: a name or a number', given);
  return {
    label: labelIn(record, Array.isArray(given) ? given.map(numberOf) : numberOf(given)),
    hasPoint: [given].flat().some((each) => each instanceof Float),
    isCell: record.isUntyped === true,
  };
}

/** As pandas reads a column: numbers of which one has a point are floats, whole numbers alone are none. */
function areNumbers(rows: readonly ClassifiedRow[]): boolean {
  const labelled = rows.filter(({ label }) => label !== undefined);
  if (labelled.some(({ hasPoint, label }) => hasPoint || [label].flat().some(isFraction))) return true;
  const cells = labelled.map(({ label, isCell }) => (isCell && typeof label === 'string' ? label : ''));
  return cells.every(isNumeric) && cells.some(isFloatText);
}

function isFraction(label: unknown): boolean {
  return typeof label === 'number' && !(Number.isInteger(label) && label >= 0);
}

function numberOf(value: unknown): unknown {
  return value instanceof Float ? value.value : value;
}

function labelIn(record: RecordRow, given: unknown): ClassifiedRow['label'] {
  const isLabel = (value: unknown): value is Label =>
    (typeof value === 'string' && value !== '') || (typeof value === 'number' && Number.isFinite(value));
  if (given === undefined || isLabel(given)) return given;
  if (Array.isArray(given) && given.every(isLabel)) return given;
  return badRow(record, 'label' in record.values ? 'label' : 'labels', 'a name or a number, or a list of them', given);
}

/** A list such as [0, 1, 1] says of each label whether a row has it; rows are to name those that it has. */
function checkDistinct({ label, where }: ClassifiedRow): void {
  if (!Array.isArray(label) || new Set(label).size === label.length) return;
  throw new LowrankError({
    code: 'tasks.label',
    what: `${where}: "labels"`,
    expected: 'each label once, by its name or its place: [1, 2] where a row has the second and the third',
    got: shown(label),
  });
}

/** What a row's columns are to be. @throws LowrankError `tasks.label` for labels that the model has no columns for */
export function targetOf({ label, where }: Pick<ClassifiedRow, 'label' | 'where'>, labels: Labels): Target {
  if (label === undefined) return undefined;
  const list = Array.isArray(label) ? (label as readonly Label[]) : [label as Label];
  if (labels.problem === 'regression') return numbersOf(list, labels, where);
  if (labels.problem === 'multi_label_classification') {
    const columns = labels.names.map(() => 0);
    for (const each of list) columns[labelId(each, labels, where)] = 1;
    return columns;
  }
  const [only] = list;
  if (only !== undefined && list.length === 1) return labelId(only, labels, where);
  throw new LowrankError({
    code: 'tasks.label',
    what: where,
    expected: 'one label, as the model gives one',
    got: shown(label),
    remedy: (names) => `To learn several at once, train with ${names('problemType', 'multi_label_classification')}.`,
  });
}

/** @throws LowrankError `tasks.label` for names, and for more or fewer numbers than the model has columns */
function numbersOf(list: readonly Label[], { names }: Labels, where: string): number[] {
  const isNumber = (each: Label): boolean => typeof each === 'number' || isNumeric(each);
  const numbers = list.filter(isNumber).map(Number);
  if (numbers.length === list.length && numbers.length === names.length) return numbers;
  throw new LowrankError({
    code: 'tasks.label',
    what: where,
    expected: names.length === 1 ? 'a number' : `${names.length} numbers`,
    got: list.map((each) => shown(each)).join(', ') || 'none',
    remedy: 'A model that answers in numbers needs as many of them in every row.',
  });
}

/** The first of the largest. */
export function largest(values: readonly number[]): number {
  return values.reduce((best, value, at) => (value > (values[best] ?? -Infinity) ? at : best), 0);
}

/** Probabilities by name: of one label a softmax, of several a sigmoid each. */
function prediction(logits: readonly number[], { names, problem }: Labels): Prediction {
  if (problem === 'regression') return { label: logits.length === 1 ? logits[0] : logits, logits };
  const isSingle = problem === 'single_label_classification';
  const all = isSingle ? softmax(logits) : logits.map((value) => 1 / (1 + Math.exp(-value)));
  const probabilities = Object.fromEntries(names.map((name, at) => [name, all[at] ?? 0]));
  const label = isSingle ? names[largest(logits)] : names.filter((_, at) => (logits[at] ?? 0) > 0);
  return { label, probabilities, logits };
}

export function softmax(logits: readonly number[]): number[] {
  const top = Math.max(...logits);
  const exps = logits.map((value) => Math.exp(value - top));
  const total = exps.reduce((sum, value) => sum + value, 0);
  return exps.map((value) => value / total);
}
