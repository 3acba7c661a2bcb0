import { LowrankError, shown } from '@lowrank/errors';

export const problems = ['single_label_classification', 'multi_label_classification', 'regression'] as const;
/** How a text's labels are understood, in transformers' words: `problem_type`. */
export type ProblemType = (typeof problems)[number];

/** What a head's columns mean. */
export interface Labels {
  /** `id2label`, in order. */
  readonly names: readonly string[];
  readonly problem: ProblemType;
  /** Whether nothing names `problem`, so that rows may. */
  readonly isGuess?: boolean;
}

/** Names that stand for numbers alone, as transformers gives them where nothing is known. */
export function unnamed(count: number): string[] {
  return Array.from({ length: count }, (_, at) => `LABEL_${at}`);
}

/** `id2label` of a config.json or of an adapter's task.json; undefined where there is none. */
export function namesIn(config: Readonly<Record<string, unknown>>): string[] | undefined {
  const given = config['id2label'];
  if (typeof given !== 'object' || given === null) return undefined;
  const entries = Object.entries(given).map(([id, name]) => [Number(id), String(name)] as const);
  if (entries.length === 0 || entries.some(([id]) => !Number.isInteger(id))) return undefined;
  return entries.sort(([a], [b]) => a - b).map(([, name]) => name);
}

export function problemIn(config: Readonly<Record<string, unknown>>): ProblemType | undefined {
  const given = config['problem_type'];
  return problems.find((problem) => problem === given);
}

/** The keys of a config.json that say what a head's columns mean. */
export function labelKeys({ names, problem }: Labels, kind: string): Readonly<Record<string, unknown>> {
  if (kind === 'span' || kind === 'embedding') return {};
  return {
    id2label: Object.fromEntries(names.map((name, at) => [String(at), name])),
    label2id: Object.fromEntries(names.map((name, at) => [name, at])),
    ...((kind === 'sequence' || kind === 'image') && { problem_type: problem }),
  };
}

/** What is to be said before whole numbers are learned as names; undefined where there is nothing to say. */
export function wholeNumbersWarning({ names, problem }: Labels): string | undefined {
  const areNumbers = names.every(isNumeric) || areUnnamed(names);
  if (problem !== 'single_label_classification' || names.length < 3 || !areNumbers) return undefined;
  return `the labels are whole numbers and taken as ${names.length} names; the problem type regression learns numbers`;
}

/** What is to be said where all rows have one label; undefined where there is nothing to say. */
export function oneLabelWarning({ names, problem }: Labels): string | undefined {
  if (problem !== 'single_label_classification' || names.length !== 1) return undefined;
  return `every row has the label ${names[0]}: there is nothing to tell apart, and nothing is learned`;
}

/**
 * Names of labels that rows give by name or by number: those that are known where all fit, else those of the rows, in
 * order of the alphabet, numbers as numbers.
 */
export function namesOf(given: readonly (string | number)[], known: readonly string[] | undefined): string[] {
  const distinct = [...new Set(given)];
  if (known !== undefined && distinct.every((label) => columnOf(label, known) >= 0)) return [...known];
  const numbers = distinct.filter((label) => typeof label === 'number');
  if (numbers.length === distinct.length && numbers.every((label) => Number.isInteger(label) && label >= 0))
    return unnamed(numbers.reduce((most, label) => Math.max(most, label + 1), 1));
  const names = [...new Set(distinct.map(String))];
  return names.every(isNumeric) ? names.sort((a, b) => Number(a) - Number(b)) : names.sort();
}

/** Whether a text is a number, as a cell of a CSV file has it. */
export function isNumeric(text: string): boolean {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text.trim());
}

/** Whether a text is a number that pandas would read as a float: one with a point or an exponent. */
export function isFloatText(text: string): boolean {
  return isNumeric(text) && /[.e]/i.test(text);
}

/** What labels are taken for, for people. */
export function describeLabels({ names, problem }: Labels): string {
  if (problem === 'regression') return names.length === 1 ? 'a number each' : `${names.length} numbers each`;
  const some = names.length > 6 ? [...names.slice(0, 5), '…'] : names;
  const several = problem === 'multi_label_classification' ? ', any number of them each' : '';
  return `${names.length} label${names.length === 1 ? '' : 's'} (${some.join(', ')}${several})`;
}

/** Whether the names of columns say no more than their places. */
function areUnnamed(names: readonly string[]): boolean {
  return names.every((name, at) => name === `LABEL_${at}`);
}

/**
 * The column of a label, −1 where there is none. A label is a name first, also where it is written as a number: of the
 * stars `1` to `5`, 1 is the first. A whole number that is no name is a place, counted from 0, where no name is a
 * number; a text of digits, as cells of a CSV file are, is one where columns have no names.
 */
export function columnOf(label: string | number, names: readonly string[]): number {
  const text = String(label);
  const named = names.indexOf(text);
  if (named >= 0) return named;
  const mayBePlace = typeof label === 'number' ? !names.some(isNumeric) : areUnnamed(names);
  return mayBePlace && /^(0|[1-9]\d*)$/.test(text) && Number(text) < names.length ? Number(text) : -1;
}

/** The column of a label. @throws LowrankError `tasks.label` for one that the model has no column for */
export function labelId(label: string | number, { names }: Pick<Labels, 'names'>, where: string): number {
  const id = columnOf(label, names);
  if (id >= 0) return id;
  throw new LowrankError({
    code: 'tasks.label',
    what: where,
    expected: `one of the labels ${names.slice(0, 12).join(', ')}${names.length > 12 ? ', …' : ''}`,
    got: String(label),
    remedy: 'Give rows with the labels that the model was trained on.',
  });
}

/**
 * The labels of a model that has been trained: its own; where those are numbers alone (`LABEL_0`), the names that rows
 * have for them, in order, where there are as many. Numbers name no columns: they are places. Rows do not change what
 * it has been trained for.
 */
export function labelsOfTrained(known: Labels, ofRows: Labels, asked?: ProblemType): Labels {
  checkProblem(known, asked);
  if (!areUnnamed(known.names)) return known;
  if (known.isGuess !== true && known.problem !== ofRows.problem) return known;
  const nameColumns = ofRows.names.length === known.names.length && !ofRows.names.some(isNumeric);
  return { names: nameColumns ? ofRows.names : known.names, problem: ofRows.problem };
}

/** @throws LowrankError `tasks.problem` where it is asked to be something else than it was trained for */
export function checkProblem({ problem, isGuess }: Labels, asked: ProblemType | undefined): void {
  if (asked === undefined || isGuess === true || problem === asked) return;
  throw new LowrankError({
    code: 'tasks.problem',
    what: 'what has been trained',
    expected: `${problem}, for which it was trained`,
    got: shown(asked),
    remedy: (names) => `Leave ${names('problemType')} out.`,
    setting: 'problemType',
  });
}
