import type { ChatTemplate, RowSelection, Split } from '@lowrank/data';
import {
  encodeRows,
  evaluationBatches,
  groupByPrompt,
  isChat,
  isTextMetric,
  labeledPrompts,
  readChatTemplate,
  readTextRows,
  readTokenizer,
  samplePrompts,
  selectionOf,
  splitsOf,
  validationCut,
  withVirtualTokens,
} from '@lowrank/data';
import type { Backend } from '@lowrank/tensor';
import { evaluate } from '@lowrank/trainer';
import { backendOnce } from '../device.js';
import { datasetWarnings } from '../front/datasetWarnings.js';
import { withFolders } from './folders.js';
import { evaluateInFile, staysInFile } from './evaluateInFile.js';
import type { EvaluateFolderOptions, EvaluateFolderResult } from './evaluateOptions.js';
import type { OpenModel } from './openModel.js';
import { openModel } from './openModel.js';
import { tokenizerFiles } from './tokenizerFiles.js';
import { checkLabels, scoreLabels } from './scoreLabels.js';
import { scoreTexts } from './scoreTexts.js';
import type { WrittenText } from './scoreTexts.js';
import { loadMethod } from './loadMethod.js';

export type { EvaluateFolderOptions, EvaluateFolderResult };

/** A result with the texts that were written for it. */
export interface EvaluatedFolder {
  readonly result: EvaluateFolderResult;
  readonly texts: readonly WrittenText[];
}

/**
 * The loss of a model folder, with or without an adapter folder, over a file of rows; and what metrics say of the texts
 * that it writes for their prompts.
 */
export async function evaluateFolder(given: EvaluateFolderOptions): Promise<EvaluateFolderResult> {
  return (await evaluateTexts(given)).result;
}

/** The same, with the texts. */
export async function evaluateTexts(given: EvaluateFolderOptions): Promise<EvaluatedFolder> {
  checkLabels(given);
  const options = { split: await splitToEvaluate(given), ...(await withFolders(given, given)) };
  const { scoreRows = Infinity, seed = 0, signal } = options;
  const metrics = (options.metrics ?? []).filter(isTextMetric);
  const texts = await tokenizerFiles(options.model, options.adapter);
  const tokenizer = options.tokenizer ?? (await readTokenizer(texts));
  for (const text of tokenizer.warnings) options.onWarning?.(text);
  const open = backendOnce(options.backend);
  const template = (): Promise<ChatTemplate | undefined> => readChatTemplate(texts, { file: options.template });
  if (await staysInFile(options)) {
    const model = await openAdapted(options, open);
    const parts = { model, tokenizer, chatTemplate: template, backend: await open() };
    return { result: await evaluateInFile(options, parts), texts: [] };
  }
  const selection = { ...selectionOf(options), ...heldOutBy(options) };
  const all = groupByPrompt(await readTextRows(options.data, selection));
  const groups = samplePrompts(all, { count: scoreRows, seed });
  // Before the model is loaded: whether there are answers to choose from, be they of rows that are not drawn.
  const asksLabels = options.metrics?.includes('label-accuracy') === true;
  const { labels } = asksLabels ? labeledPrompts(all, options.labels) : {};
  const model = await openAdapted(options, open);
  const { vocabularySize, contextLength } = model;
  const maxLength = Math.min(options.maxLength ?? contextLength, contextLength);
  const rows = groups.flat().sort((a, b) => a.line - b.line);
  const chatTemplate = rows.some(isChat) ? await template() : undefined;
  const dataset = encodeRows(rows, tokenizer, {
    ...options,
    name: options.data,
    vocabularySize,
    maxLength,
    chatTemplate,
  });
  for (const text of datasetWarnings(dataset, maxLength)) options.onWarning?.(text);
  const backend = await open();
  const {
    loss,
    tokens,
    rows: counted,
  } = await evaluate({
    backend,
    loss: model.loss,
    batches: evaluationBatches(
      withVirtualTokens(dataset.rows, { vocabularySize, virtualTokens: model.module.virtualTokens }),
    ),
    execution: options.execution,
    signal,
  });
  const result = { loss, perplexity: Math.exp(loss), tokens, rows: counted, prompts: groups.length };
  const warnTooLong = (count: number): void => {
    if (count > 0)
      options.onWarning?.(`${options.data}: ${count} prompts leave the model no room to answer, and count 0`);
  };
  const chosen =
    labels &&
    (await scoreLabels(
      model,
      { labels, prompts: labeledPrompts(groups, labels).prompts },
      {
        backend,
        tokenizer,
        execution: options.execution,
        signal,
      },
    ));
  warnTooLong(chosen?.tooLong ?? 0);
  const scores = { loss, ...(chosen && { 'label-accuracy': chosen.accuracy }) };
  if (metrics.length === 0) return { result: { ...result, scores }, texts: [] };
  const { maxNewTokens, onProgress } = options;
  const written = await scoreTexts(model, groups, { backend, tokenizer, metrics, maxNewTokens, signal, onProgress });
  warnTooLong(written?.tooLong ?? 0);
  return { result: { ...result, scores: { ...scores, ...written?.scores } }, texts: written?.texts ?? [] };
}

async function openAdapted(
  options: EvaluateFolderOptions & { readonly baseModel: string },
  backend: () => Promise<Backend>,
): Promise<OpenModel> {
  const model = await openModel(options.model, { ...options, backend });
  if (options.adapter !== undefined) await loadMethod(model, options.adapter, options.onWarning);
  return model;
}

/** Of rows that a training held out of its file, those alone. */
function heldOutBy({ validation }: EvaluateFolderOptions): Pick<RowSelection, 'cut'> {
  return validation === undefined ? {} : { cut: { ...validationCut(validation), part: 'validation' } };
}

/** Of a folder of data the test rows; without those its validation rows. */
async function splitToEvaluate({ data }: EvaluateFolderOptions): Promise<Split | undefined> {
  const splits = await splitsOf(data);
  return (['test', 'validation'] as const).find((split) => splits.includes(split));
}
