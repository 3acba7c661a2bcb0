import { LowrankError, shown } from '@lowrank/errors';
import { isFromValue } from './messages.js';
import { implicitPrompt } from './implicitPrompt.js';
import type { Keys } from './rowValues.js';
import {
  alpacaOf,
  contextOf,
  conversationIn,
  labelOf,
  lastAnswer,
  messagesIn,
  pairOf,
  sidesOf,
  textIn,
  WrongValue,
} from './rowValues.js';
import type { RowProblem, TextRow } from './textRow.js';

/**
 * What rows are read for: completions to learn, pairs of a better and a worse one, or completions judged one by one.
 */
export type RowKind = 'sft' | 'preference' | 'kto';

/** How the keys of a row are understood. */
export interface RowReading {
  /** Default `sft`. */
  readonly kind?: RowKind | undefined;
  /** The file's own names of known keys, such as `{ prompt: 'question', completion: 'answer' }`. */
  readonly columns?: Readonly<Record<string, string>> | undefined;
}

/** A row with the name of the form that it has. */
export interface ReadRow {
  readonly row: TextRow;
  readonly form: string;
}

interface RowForm {
  /** Keys that it cannot be without. */
  readonly keys: readonly string[];
  /** Others that it looks at. */
  readonly also?: readonly string[];
  readonly kinds: readonly RowKind[];
  read(row: Keys, line: number): TextRow;
}

const context = ['tools', 'chat_template_kwargs'] as const;

/** In the order in which they are looked for. */
const forms = {
  preference: {
    keys: ['chosen', 'rejected'],
    also: ['prompt', 'conversations', 'messages', ...context],
    kinds: ['preference', 'kto', 'sft'],
    read: (row, line) => ({ line, ...pairOf(row), ...contextOf(row) }),
  },
  'preference (LLaMA-Factory)': {
    keys: ['chosen_messages', 'rejected_messages'],
    also: context,
    kinds: ['preference', 'kto', 'sft'],
    read: (row, line) => ({
      line,
      ...implicitPrompt(messagesIn(row, 'chosen_messages'), messagesIn(row, 'rejected_messages')),
      ...contextOf(row),
    }),
  },
  'prompt and completion with label': {
    keys: ['prompt', 'completion', 'label'],
    also: context,
    kinds: ['kto'],
    read: (row, line) => ({ line, ...sidesOf(row), label: labelOf(row) }),
  },
  'messages with label': {
    keys: ['messages', 'label'],
    also: context,
    kinds: ['kto'],
    read: (row, line) => ({ line, ...lastAnswer(messagesIn(row, 'messages')), label: labelOf(row), ...contextOf(row) }),
  },
  'ShareGPT with label': {
    keys: ['conversations', 'label'],
    also: ['system', ...context],
    kinds: ['kto'],
    read: (row, line) => ({ line, ...lastAnswer(conversationIn(row)), label: labelOf(row), ...contextOf(row) }),
  },
  'prompt and completion': {
    keys: ['prompt', 'completion'],
    also: context,
    kinds: ['sft'],
    read: (row, line) => ({ line, ...sidesOf(row) }),
  },
  messages: {
    keys: ['messages'],
    also: context,
    kinds: ['sft'],
    read: (row, line) => ({ line, messages: messagesIn(row, 'messages'), ...contextOf(row) }),
  },
  text: { keys: ['text'], kinds: ['sft'], read: (row, line) => ({ line, text: textIn(row, 'text') }) },
  ShareGPT: {
    keys: ['conversations'],
    also: ['system', ...context],
    kinds: ['sft'],
    read: (row, line) => ({ line, messages: conversationIn(row), ...contextOf(row) }),
  },
  Alpaca: {
    keys: ['instruction', 'output'],
    also: ['input', 'system', 'history'],
    kinds: ['sft'],
    read: (row, line) => ({ line, ...alpacaOf(row) }),
  },
} as const satisfies Record<string, RowForm>;

const formList: readonly (readonly [string, RowForm])[] = Object.entries(forms);

/** Every key that a form looks at: what `columns` can give another name. */
export const rowKeys: readonly string[] = [
  ...new Set(formList.flatMap(([, { keys, also = [] }]) => [...keys, ...also])),
];

const formsInWords: Readonly<Record<RowKind, string>> = {
  sft:
    'an object with "prompt" and "completion", with "text", with "messages", ' +
    'with "conversations", or with "instruction" and "output"',
  preference: 'an object with "chosen" and "rejected", and "prompt" unless both begin with it',
  kto: 'an object with "prompt", "completion" and "label"',
};

/** Keys by which TRL's SFTTrainer decides what a row is. */
const deciding = ['prompt', 'completion', 'text', 'messages'];

/**
 * The row that an object stands for. Its form is that of its keys; a key whose value is null counts as absent, since
 * what
 * writes rows of several forms to one file fills columns so. Of an object with the keys of two forms, TRL's choice is
 * taken: messages before a text. Where TRL's choice is none (prompt and completion beside a text lose their EOS there,
 * beside messages it goes by chance) the row is refused.
 */
export function rowOf(value: unknown, line: number, reading: RowReading = {}): ReadRow | RowProblem {
  const { kind = 'sft', columns = {} } = reading;
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return { line, code: 'data.rowForm', expected: formsInWords[kind], got: shown(value, 60) };
  const row = renamed(value as Keys, columns);
  const form = formOf(row, { kind, mapped: Object.keys(columns) });
  if (typeof form !== 'string')
    return { line, code: 'data.rowForm', expected: expectedForms(reading), got: gotKeys(value as Keys, reading) };
  try {
    return { row: forms[form as keyof typeof forms].read(row, line), form };
  } catch (cause) {
    if (cause instanceof WrongValue) return { line, code: cause.code, expected: cause.expected, got: cause.got };
    throw cause;
  }
}

/** @throws LowrankError `data.columns` for a name that is no key of any form */
export function checkColumns(columns: Readonly<Record<string, string>> = {}): void {
  const unknown = Object.keys(columns).find((name) => !rowKeys.includes(name));
  if (unknown === undefined) return;
  throw new LowrankError({
    code: 'data.columns',
    what: `a column for ${JSON.stringify(unknown)}`,
    expected: `one for ${rowKeys.join(', ')}`,
    got: JSON.stringify(unknown),
    remedy: 'The known key comes first: prompt=question says that the column "question" is the prompt.',
    setting: 'columns',
  });
}

function renamed(row: Keys, columns: Readonly<Record<string, string>>): Keys {
  const names = Object.entries(columns);
  if (names.length === 0) return row;
  const taken = new Set(names.map(([, column]) => column));
  const left = Object.entries(row).filter(([key]) => !taken.has(key));
  return Object.fromEntries([...left, ...names.map(([known, column]) => [known, row[column]])]);
}

function formOf(
  row: Keys,
  { kind, mapped }: { readonly kind: RowKind; readonly mapped: readonly string[] },
): string | undefined {
  const has = (key: string): boolean => row[key] !== undefined && row[key] !== null;
  const fits = formList.filter(
    ([, { keys, also = [], kinds }]) =>
      kinds.includes(kind) && keys.every(has) && mapped.every((key) => keys.includes(key) || also.includes(key)),
  );
  if (kind !== 'sft' || mapped.length > 0) return fits[0]?.[0];
  const given = deciding.filter(has).join();
  switch (given) {
    case 'prompt,completion':
      return 'prompt and completion';
    case 'prompt,completion,messages':
      return Array.isArray(row['prompt']) ? 'prompt and completion' : undefined;
    case 'text,messages':
    case 'messages':
      return 'messages';
    case 'text':
      return isFromValue(row['conversations']) ? 'ShareGPT' : 'text';
    case 'prompt':
      return fits.find(([name]) => name.startsWith('preference'))?.[0];
    case '':
      return fits[0]?.[0];
    default:
      return undefined;
  }
}

/** What rows there may be, in words. */
export function expectedForms({ kind = 'sft', columns = {} }: RowReading): string {
  const names = Object.entries(columns).map(([known, column]) => `${shown(column, 30)} as ${shown(known, 30)}`);
  return names.length === 0 ? formsInWords[kind] : `${formsInWords[kind]}, with ${names.join(', ')}`;
}

/** `300 rows of Alpaca`, for what is said of a file; `60 of 300 rows of Alpaca` where so many of them are chosen. */
export function describeForms(forms: ReadonlyMap<string, number>, chosen?: number): string {
  const all = [...forms].map(([form, count]) => `${count} ${count === 1 ? 'row' : 'rows'} of ${form}`).join(', ');
  const total = [...forms.values()].reduce((sum, count) => sum + count, 0);
  if (chosen === undefined || chosen === total) return all;
  return forms.size > 1 ? `${chosen} of ${total} rows (${all})` : `${chosen} of ${all}`;
}

function gotKeys(row: Keys, { columns = {} }: RowReading): string {
  if (Object.keys(columns).length > 0) return list(Object.keys(row));
  const keys = Object.keys(row).filter((key) => row[key] !== null && row[key] !== undefined);
  const known = keys.filter((key) => rowKeys.includes(key) && key !== 'tools' && key !== 'chat_template_kwargs');
  if (known.length > 1) return `${list(known)} together`;
  if (known.length > 0) return `only ${list(known)}`;
  const nulls = rowKeys.filter((key) => row[key] === null);
  if (nulls.length > 0 && keys.length === 0) return `null as ${list(nulls)}`;
  return keys.length > 0 ? list(keys) : 'no keys';
}

function list(keys: readonly string[]): string {
  return keys
    .slice(0, 6)
    .map((key) => shown(key, 60))
    .join(', ');
}
