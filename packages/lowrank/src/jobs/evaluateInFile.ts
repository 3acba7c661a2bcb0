import type { ChatTemplate, TextTokenizer } from '@lowrank/data';
import {
  askedKey,
  evaluationRowBatches,
  isLargeSource,
  readTraining,
  rowsWithVirtualTokens,
  selectionOf,
  validationCut,
} from '@lowrank/data';
import type { Backend } from '@lowrank/tensor';
import { evaluate } from '@lowrank/trainer';
import { datasetWarnings } from '../front/datasetWarnings.js';
import { isStandardInput } from '../runs/runInputs.js';
import type { EvaluateFolderOptions, EvaluateFolderResult } from './evaluateOptions.js';
import type { OpenModel } from './openModel.js';

/**
 * Whether the loss alone is asked for, over a file that is larger than `dataMemory`: its rows are then read as they are
 * evaluated. Metrics of texts bring the completions of each prompt together, and need all rows.
 */
export async function staysInFile(options: EvaluateFolderOptions): Promise<boolean> {
  const { data, metrics = [], scoreRows } = options;
  if (metrics.some((name) => name !== 'loss') || scoreRows !== undefined || isStandardInput(data)) return false;
  return isLargeSource(data, { ...selectionOf(options), dataMemory: options.dataMemory });
}

export interface InFileParts {
  readonly model: OpenModel;
  readonly tokenizer: TextTokenizer;
  readonly chatTemplate: () => Promise<ChatTemplate | undefined>;
  readonly backend: Backend;
}

/** The loss over rows that stay in their file; a prompt is what comes before the last stretch that is learned. */
export async function evaluateInFile(
  options: EvaluateFolderOptions,
  { model, tokenizer, chatTemplate, backend }: InFileParts,
): Promise<EvaluateFolderResult> {
  const { vocabularySize, contextLength, module } = model;
  const { data, validation, dataMemory, completionOnlyLoss, assistantOnlyLoss, execution, signal } = options;
  const maxLength = Math.min(options.maxLength ?? contextLength, contextLength);
  const read = await readTraining(data, tokenizer, {
    ...selectionOf(options),
    validation: validation === undefined ? undefined : validationCut(validation),
    dataMemory,
    completionOnlyLoss,
    assistantOnlyLoss,
    vocabularySize,
    maxLength,
    chatTemplate,
  });
  const { rows, dataset } = read.validation ?? read.train;
  try {
    // Of a sample, where the file has many.
    for (const text of datasetWarnings(dataset, maxLength)) options.onWarning?.(text);
    const prompts = new Set<number>();
    const seen = {
      ...rows,
      async at(index: number) {
        const row = await rows.at(index);
        if (row !== undefined) prompts.add(askedKey(row));
        return row;
      },
    };
    const { virtualTokens } = module;
    const batches = evaluationRowBatches(rowsWithVirtualTokens(seen, { vocabularySize, virtualTokens }));
    const result = await evaluate({ backend, loss: model.loss, batches, execution, signal });
    const { loss, tokens, rows: counted } = result;
    return { loss, perplexity: Math.exp(loss), tokens, rows: counted, prompts: prompts.size, scores: { loss } };
  } finally {
    await rows.close();
  }
}
