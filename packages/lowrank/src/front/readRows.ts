import type { Dataset, RowSelection, RowSource } from '@lowrank/data';
import { readDataset, selectionOf, splitsOf, validationCut, withVirtualTokens } from '@lowrank/data';
import { datasetWarnings } from './datasetWarnings.js';
import type { ReadingOptions, RunHooks, RunOptions, TrainingModel } from './runOptions.js';

/** Where the rows of an evaluation come from, and how they are read. */
export interface EvaluationSource {
  readonly source: RowSource;
  readonly options: RunOptions;
}

/** One side of what `validation` cuts. */
export function cutFor(part: 'train' | 'validation', validation: number | undefined): RowSelection['cut'] {
  return validation === undefined ? undefined : { ...validationCut(validation), part };
}

/** A file of their own, rows held out, or the data's split for them; undefined where there is none of these. */
export async function evaluationSource(options: RunOptions): Promise<EvaluationSource | undefined> {
  const { data, evalData, validation } = options;
  if (evalData !== undefined) return { source: evalData, options: { ...options, cut: undefined } };
  if (validation !== undefined) return { source: data, options: { ...options, cut: cutFor('validation', validation) } };
  const splits = await splitsOf(data);
  return splits.includes('validation') ? { source: data, options: { ...options, split: 'validation' } } : undefined;
}

/** Rows of a source as the model takes them, in memory. */
export async function readRows(
  { open, tokenizer, chatTemplate }: Pick<TrainingModel, 'open' | 'tokenizer' | 'chatTemplate'>,
  source: RowSource,
  {
    options,
    hooks,
    parts,
  }: {
    readonly options: ReadingOptions;
    readonly hooks: Pick<RunHooks, 'onEvent'>;
    readonly parts?: RowSelection['parts'];
  },
): Promise<Pick<Dataset, 'rows' | 'dropped'>> {
  const { vocabularySize, contextLength, module } = open;
  const maxLength = Math.min(options.maxLength ?? contextLength, contextLength);
  const dataset = await readDataset(source, tokenizer, {
    vocabularySize,
    ...selectionOf(options),
    completionOnlyLoss: options.completionOnlyLoss,
    assistantOnlyLoss: options.assistantOnlyLoss,
    maxLength,
    parts,
    chatTemplate,
  });
  const { name, forms, rows, dropped, tokens, labelTokens } = dataset;
  await hooks.onEvent?.({ type: 'data', name, forms, rows: rows.length, tokens, labelTokens });
  for (const text of datasetWarnings(dataset, maxLength)) await hooks.onEvent?.({ type: 'warning', text });
  return { rows: withVirtualTokens(rows, { vocabularySize, virtualTokens: module.virtualTokens }), dropped };
}
