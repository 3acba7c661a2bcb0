import type { RowFindings } from '@lowrank/data';

/** What a reader of the data should know, as sentences. */
export function datasetWarnings(
  dataset: {
    readonly name: string;
    /** Rows that say the same as one before. */
    readonly duplicates?: number;
  } & Pick<RowFindings, 'droppedLines' | 'truncatedLines' | 'unalignedLines' | 'doubledBosLines'> &
    Partial<Pick<RowFindings, 'cutTokens' | 'endlessLines'>>,
  maxLength: number,
): string[] {
  const { name, droppedLines, truncatedLines, unalignedLines, doubledBosLines } = dataset;
  const { cutTokens = 0, endlessLines = [], duplicates = 0 } = dataset;
  const warn = (lines: readonly number[], text: string): string[] =>
    lines.length === 0 ? [] : [`${name}: ${rowsInWords(lines.length)} ${text} (${linesInWords(lines)})`];
  const cut = new Set(truncatedLines);
  // Why they have none is said of those that were cut.
  const [endlessCut, endless] = [
    endlessLines.filter((line) => cut.has(line)),
    endlessLines.filter((line) => !cut.has(line)),
  ];
  const lost = cutTokens === 0 ? '' : `, of ${cutTokens.toLocaleString('en')} tokens more`;
  const ends = endlessCut.length === 0 ? '' : `; ${rowsInWords(endlessCut.length)} lost the EOS with it`;
  return [
    ...warn(droppedLines, 'without a token to learn, left out'),
    ...warn(truncatedLines, `cut to ${maxLength} tokens${lost}${ends}`),
    ...warn(endless, 'of which no EOS is learned'),
    ...warn(unalignedLines, 'where the border between prompt and completion lies within a token'),
    ...warn(doubledBosLines, 'that begin with two BOS, the text’s own and the tokenizer’s'),
    ...(duplicates === 0
      ? []
      : [`${name}: ${rowsInWords(duplicates)} that ${duplicates === 1 ? 'says' : 'say'} the same as one before`]),
  ];
}

function rowsInWords(count: number): string {
  return `${count.toLocaleString('en')} ${count === 1 ? 'row' : 'rows'}`;
}

function linesInWords(lines: readonly number[]): string {
  return `${lines.length === 1 ? 'line' : 'lines'} ${lines.slice(0, 10).join(', ')}${lines.length > 10 ? ', …' : ''}`;
}
