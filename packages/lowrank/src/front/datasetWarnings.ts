/** What a reader of the data should know, as sentences. */
export function datasetWarnings(
  dataset: {
    name: string;
    droppedLines: readonly number[];
    truncatedLines: readonly number[];
    unalignedLines: readonly number[];
    doubledBosLines: readonly number[];
  },
  maxLength: number,
): string[] {
  const { name, droppedLines, truncatedLines, unalignedLines, doubledBosLines } = dataset;
  const warn = (lines: readonly number[], text: string): string[] => {
    if (lines.length === 0) return [];
    const shown = lines.slice(0, 10).join(', ');
    return [
      `${name}: ${lines.length} ${lines.length === 1 ? 'row' : 'rows'} ${text} ` +
        `(${lines.length === 1 ? 'line' : 'lines'} ${shown}${lines.length > 10 ? ', …' : ''})`,
    ];
  };
  return [
    ...warn(droppedLines, 'without a token to learn, left out'),
    ...warn(truncatedLines, `cut to ${maxLength} tokens`),
    ...warn(unalignedLines, 'where the border between prompt and completion lies within a token'),
    ...warn(doubledBosLines, 'that begin with two BOS, the text’s own and the tokenizer’s'),
  ];
}
