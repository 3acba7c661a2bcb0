import type { EncodedRow } from './encodeRow.js';

/** What was found in rows while they were encoded. Lines count from 1. */
export interface RowFindings {
  readonly tokens: number;
  readonly labelTokens: number;
  /** Lines without a label token (after truncation), which are dropped. */
  readonly droppedLines: readonly number[];
  /** Lines that lost their end to `maxLength`, dropped ones included. */
  readonly truncatedLines: readonly number[];
  /** Tokens that they lost. */
  readonly cutTokens: number;
  /** Lines, dropped ones aside, of which nothing is learned that ends a text: worth a warning. */
  readonly endlessLines: readonly number[];
  /** Lines whose prompt tokens do not begin the tokens of the whole row: worth a warning. */
  readonly unalignedLines: readonly number[];
  /** Lines that begin with two BOS, the text's own and the tokenizer's: worth a warning. */
  readonly doubledBosLines: readonly number[];
}

/** Adds up what is found, row by row. */
export class RowTally implements RowFindings {
  tokens = 0;
  labelTokens = 0;
  cutTokens = 0;
  readonly droppedLines: number[] = [];
  readonly truncatedLines: number[] = [];
  readonly endlessLines: number[] = [];
  readonly unalignedLines: number[] = [];
  readonly doubledBosLines: number[] = [];

  /** Tokens of a dropped row do not count. */
  add(row: EncodedRow): void {
    const { line, ids, labelTokens, fullLength } = row;
    if (fullLength > ids.length) this.truncatedLines.push(line);
    this.cutTokens += fullLength - ids.length;
    if (!row.promptIsPrefix) this.unalignedLines.push(line);
    if (row.doublesBos === true) this.doubledBosLines.push(line);
    if (labelTokens === 0) {
      this.droppedLines.push(line);
      return;
    }
    if (row.learnsEnd === false) this.endlessLines.push(line);
    this.tokens += ids.length;
    this.labelTokens += labelTokens;
  }

  get findings(): RowFindings {
    const { tokens, labelTokens, cutTokens, droppedLines, truncatedLines } = this;
    const { endlessLines, unalignedLines, doubledBosLines } = this;
    return {
      tokens,
      labelTokens,
      droppedLines,
      truncatedLines,
      cutTokens,
      endlessLines,
      unalignedLines,
      doubledBosLines,
    };
  }
}
