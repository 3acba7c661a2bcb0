import { LowrankError } from '@lowrank/errors';
import type { ChatTemplate } from './chat.js';
import { splitAfter } from './completionAfter.js';
import type { EncodedRow, EncodeRowOptions } from './encodeRow.js';
import { encodeRow } from './encodeRow.js';
import type { RowPart } from './holdOut.js';
import { holdOut } from './holdOut.js';
import type { ReadRows, TextPieces } from './readRows.js';
import { readPieces } from './readRows.js';
import { describeForms } from './rowForms.js';
import type { RowReading } from './rowForms.js';
import type { RecordOptions } from './sources/records.js';
import type { Split } from './sources/splitFiles.js';
import type { RowFindings } from './rowTally.js';
import { RowTally } from './rowTally.js';
import type { TextRow } from './textRow.js';
import { isChat } from './textRow.js';
import type { TextTokenizer } from './tokenizer.js';
import type { ValidationCut } from './validationCut.js';
import { cutValidation } from './validationCut.js';

/** Encoded rows, and what happened to the others. */
export interface Dataset extends RowFindings {
  /** What errors call it. */
  readonly name: string;
  /** What forms its rows have, in words. */
  readonly forms: string;
  readonly rows: readonly EncodedRow[];
  /** The places, among all rows that were read, of those that were dropped. */
  readonly dropped: readonly number[];
}

export interface EncodeOptions extends EncodeRowOptions {
  readonly name?: string;
  /** Rows of the model's embedding; ids must lie below. */
  readonly vocabularySize?: number;
}

export interface LoadDatasetOptions extends Omit<EncodeOptions, 'chatTemplate'>, RowSelection {
  /** What makes text of rows of messages; or a way to it, which is gone only if there are such rows. */
  readonly chatTemplate?: ChatTemplate | (() => Promise<ChatTemplate | undefined>) | undefined;
}

/** Which of a file's rows are taken, and how they are understood and cut: plain JSON. */
export interface RowSelection extends RowReading, RecordOptions {
  /** Rows of text are completions behind the last occurrence of this. */
  readonly completionAfter?: string | undefined;
  /** Which files of a folder. Default: train. */
  readonly split?: Split | undefined;
  /** One side of a cut for validation. */
  readonly cut?: (ValidationCut & { readonly part: 'train' | 'validation' }) | undefined;
  /** Sides of cuts, one after another. */
  readonly parts?: readonly RowPart[] | undefined;
}

/** Those of a run's options that say which rows are taken, and how they are understood. */
export function selectionOf({ completionAfter, parts, columns, kind, sampleBy, split }: RowSelection): RowSelection {
  return { completionAfter, parts, columns, kind, sampleBy, split };
}

/** Parses a JSONL text and encodes its rows. */
export async function loadDataset(
  input: TextPieces,
  tokenizer: TextTokenizer,
  options: LoadDatasetOptions = {},
): Promise<Dataset> {
  const { rows, forms } = await readPieces(input, options);
  return encodeSelected({ rows: selectRows(rows, options), forms }, tokenizer, options);
}

/** Encodes rows; reads a chat template only if there are chats. */
export async function encodeSelected(
  { rows, forms }: ReadRows,
  tokenizer: TextTokenizer,
  options: LoadDatasetOptions,
): Promise<Dataset> {
  const given = rows.some(isChat) ? options.chatTemplate : undefined;
  const chatTemplate = typeof given === 'function' ? await given() : given;
  return { ...encodeRows(rows, tokenizer, { ...options, chatTemplate }), forms: describeForms(forms, rows.length) };
}

/** @throws LowrankError what splitAfter and holdOut throw */
export function selectRows(
  rows: readonly TextRow[],
  { name, completionAfter, parts = [], cut }: RowSelection & { readonly name?: string },
): TextRow[] {
  const split = completionAfter === undefined ? [...rows] : splitAfter(rows, { marker: completionAfter, name });
  const side = cut === undefined ? split : cutValidation(split, cut, name)[cut.part];
  return parts.reduce((left, part) => holdOut(left, part, name), side);
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
  const { maxLength } = options;
  if (maxLength !== undefined) checkMaxLength(maxLength);
  const rows: EncodedRow[] = [];
  const dropped: number[] = [];
  const tally = new RowTally();
  for (const [at, textRow] of textRows.entries()) {
    const row = encodeChecked(textRow, tokenizer, options);
    tally.add(row);
    if (row.labelTokens > 0) rows.push(row);
    else dropped.push(at);
  }
  if (rows.length === 0) throw noLabels(name, tally.droppedLines, maxLength);
  return { name, forms: `${rows.length} rows`, rows, dropped, ...tally.findings };
}

/** A row that the model has all ids of. @throws LowrankError `data.vocabulary`, and what encodeRow throws */
export function encodeChecked(textRow: TextRow, tokenizer: TextTokenizer, options: EncodeOptions): EncodedRow {
  const { name = 'data', vocabularySize } = options;
  const row = encodeRow(textRow, tokenizer, options);
  if (vocabularySize !== undefined) checkIds(row, { name, vocabularySize, tokenizer });
  return row;
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

/** No row is left. */
export function noLabels(name: string, lines: readonly number[], maxLength: number | undefined): LowrankError {
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

/** @throws LowrankError `data.maxLength` */
export function checkMaxLength(maxLength: number): void {
  if (Number.isSafeInteger(maxLength) && maxLength >= 2) return;
  throw new LowrankError({
    code: 'data.maxLength',
    what: 'the maximum length of a row',
    expected: 'a whole number of at least 2 tokens',
    got: String(maxLength),
    remedy: 'A model learns to predict a token from at least one before it.',
  });
}
