import { LowrankError } from '@lowrank/errors';
import type { ChatTemplate } from './chatTemplate.js';
import { splitAfter } from './completionAfter.js';
import type { EncodedRow } from './encodeRow.js';
import { encodeRow } from './encodeRow.js';
import type { RowPart } from './holdOut.js';
import { holdOut } from './holdOut.js';
import type { TextRow } from './jsonl.js';
import { parseJsonl } from './jsonl.js';
import type { TextTokenizer } from './tokenizer.js';

/** Encoded rows, and what happened to the others. Lines count from 1. */
export interface Dataset {
  /** What errors call it. */
  readonly name: string;
  readonly rows: readonly EncodedRow[];
  readonly tokens: number;
  readonly labelTokens: number;
  /** Lines without a label token (after truncation), which were dropped. */
  readonly droppedLines: readonly number[];
  /** Lines that lost their end to `maxLength`, dropped ones included. */
  readonly truncatedLines: readonly number[];
  /** Lines whose prompt tokens do not begin the tokens of the whole row: worth a warning. */
  readonly unalignedLines: readonly number[];
  /** Lines that begin with two BOS, the text's own and the tokenizer's: worth a warning. */
  readonly doubledBosLines: readonly number[];
}

export interface EncodeOptions {
  readonly name?: string;
  /** Tokens kept of each row, from its start. */
  readonly maxLength?: number;
  /** Rows of the model's embedding; ids must lie below. */
  readonly vocabularySize?: number;
  /** What makes text of rows of messages. */
  readonly chatTemplate?: ChatTemplate | undefined;
}

export interface LoadDatasetOptions extends Omit<EncodeOptions, 'chatTemplate'>, RowSelection {
  /** What makes text of rows of messages; or a way to it, which is gone only if there are such rows. */
  readonly chatTemplate?: ChatTemplate | (() => Promise<ChatTemplate | undefined>) | undefined;
}

/** Which of a file's rows are taken, and how they are cut: plain JSON. */
export interface RowSelection {
  /** Rows of text are completions behind the last occurrence of this. */
  readonly completionAfter?: string | undefined;
  /** Sides of cuts, one after another. */
  readonly parts?: readonly RowPart[] | undefined;
}

/** Parses a JSONL text and encodes its rows. */
export async function loadDataset(
  input: string | AsyncIterable<string> | Iterable<string>,
  tokenizer: TextTokenizer,
  options: LoadDatasetOptions = {},
): Promise<Dataset> {
  return encodeSelected(selectRows(await parseJsonl(input, options), options), tokenizer, options);
}

/** Encodes rows; reads a chat template only if there are chats. */
export async function encodeSelected(
  rows: readonly TextRow[],
  tokenizer: TextTokenizer,
  options: LoadDatasetOptions,
): Promise<Dataset> {
  const given = rows.some((row) => 'messages' in row) ? options.chatTemplate : undefined;
  return encodeRows(rows, tokenizer, { ...options, chatTemplate: typeof given === 'function' ? await given() : given });
}

/** @throws LowrankError what splitAfter and holdOut throw */
export function selectRows(
  rows: readonly TextRow[],
  { name, completionAfter, parts = [] }: RowSelection & { readonly name?: string },
): TextRow[] {
  const split = completionAfter === undefined ? [...rows] : splitAfter(rows, { marker: completionAfter, name });
  return parts.reduce((left, part) => holdOut(left, part, name), split);
}

/**
 * Encodes rows and drops those without a label.
 *
 * @throws LowrankError `data.vocabulary` (a token id the model does not have), `data.noLabels` (no row is left),
 * `data.maxLength`, and what encodeRow throws
 */
export function encodeRows(
  textRows: readonly TextRow[],
  tokenizer: TextTokenizer,
  options: EncodeOptions = {},
): Dataset {
  const name = options.name ?? 'data';
  const { maxLength, vocabularySize, chatTemplate } = options;
  if (maxLength !== undefined && (!Number.isSafeInteger(maxLength) || maxLength < 2)) throw badMaxLength(maxLength);
  const rows: EncodedRow[] = [];
  const droppedLines: number[] = [];
  const truncatedLines: number[] = [];
  const unalignedLines: number[] = [];
  const doubledBosLines: number[] = [];
  for (const textRow of textRows) {
    const row = encodeRow(textRow, tokenizer, { maxLength, chatTemplate });
    if (vocabularySize !== undefined) checkIds(row, { name, vocabularySize, tokenizer });
    if (row.fullLength > row.ids.length) truncatedLines.push(row.line);
    if (!row.promptIsPrefix) unalignedLines.push(row.line);
    if (row.doublesBos) doubledBosLines.push(row.line);
    if (row.labelTokens === 0) droppedLines.push(row.line);
    else rows.push(row);
  }
  if (rows.length === 0) throw noLabels(name, droppedLines, maxLength);
  return {
    name,
    rows,
    tokens: sum(rows, (row) => row.ids.length),
    labelTokens: sum(rows, (row) => row.labelTokens),
    droppedLines,
    truncatedLines,
    unalignedLines,
    doubledBosLines,
  };
}

function checkIds(row: EncodedRow, place: { name: string; vocabularySize: number; tokenizer: TextTokenizer }): void {
  const at = row.ids.findIndex((id) => id >= place.vocabularySize);
  if (at < 0) return;
  const id = row.ids[at] ?? -1;
  throw new LowrankError({
    code: 'data.vocabulary',
    what:
      `${place.name}, line ${row.line}: token ${JSON.stringify(place.tokenizer.tokenOf(id) ?? '')} at ` +
      `position ${at}`,
    expected: `an id below the model's vocabulary of ${place.vocabularySize}`,
    got: String(id),
    remedy:
      'The tokenizer belongs to another model, or tokens were added to it: use the tokenizer.json that came ' +
      'with the model.',
  });
}

function noLabels(name: string, lines: readonly number[], maxLength: number | undefined): LowrankError {
  const shown = lines.slice(0, 20).join(', ');
  return new LowrankError({
    code: 'data.noLabels',
    what: name,
    expected: 'rows with at least one token to learn',
    got:
      lines.length === 0 ? 'no rows' : `none among ${lines.length} (lines ${shown}${lines.length > 20 ? ', ...' : ''})`,
    remedy:
      maxLength === undefined
        ? 'Give the rows a completion.'
        : `Raise the maximum length of ${maxLength} tokens: the prompts alone are longer.`,
  });
}

function badMaxLength(maxLength: number): LowrankError {
  return new LowrankError({
    code: 'data.maxLength',
    what: 'the maximum length of a row',
    expected: 'a whole number of at least 2 tokens',
    got: String(maxLength),
    remedy: 'A model learns to predict a token from at least one before it.',
  });
}

function sum(rows: readonly EncodedRow[], of: (row: EncodedRow) => number): number {
  return rows.reduce((total, row) => total + of(row), 0);
}
