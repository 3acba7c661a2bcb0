import { readChatTemplate, readDataset, readTokenizer } from '@lowrank/data';
import type { Execution } from '@lowrank/trainer';
import { evaluate } from '@lowrank/trainer';
import { backendOnce } from '../device.js';
import type { BackendOrOpener } from '../device.js';
import { evaluationWindows } from '../windows.js';
import { datasetWarnings } from './fineTune.js';
import type { TransferEvents } from './folders.js';
import { withFolders } from './folders.js';
import { openModel } from './openModel.js';
import type { QuantizationFlags } from './quantization.js';
import { loadAdapterInto } from './trainable.js';

export interface EvaluateFolderOptions extends TransferEvents, QuantizationFlags {
  readonly backend: BackendOrOpener;
  readonly model: string;
  readonly adapter?: string;
  readonly data: string;
  /** A Jinja file that makes text of rows of messages; default: the model's chat template. */
  readonly template?: string;
  readonly maxLength?: number;
  readonly execution?: Execution;
}

/** What `lowrank eval` prints. */
export interface EvaluateFolderResult {
  /** Σ over all label tokens of −log p / their number. */
  readonly loss: number;
  /** exp(loss) */
  readonly perplexity: number;
  /** Label tokens. */
  readonly tokens: number;
  readonly rows: number;
}

/** The loss of a model folder, with or without an adapter folder, over a file of rows. */
export async function evaluateFolder(given: EvaluateFolderOptions): Promise<EvaluateFolderResult> {
  const options = await withFolders(given, given);
  const tokenizer = await readTokenizer(options.model);
  const backend = backendOnce(options.backend);
  const model = await openModel(options.model, { ...options, backend });
  if (options.adapter !== undefined) await loadAdapterInto(model, options.adapter, options.onWarning);
  const { vocabularySize, contextLength } = model;
  const maxLength = Math.min(options.maxLength ?? contextLength, contextLength);
  const dataset = await readDataset(options.data, tokenizer, { vocabularySize, maxLength, chatTemplate: () => readChatTemplate(options.model, { file: options.template }) });
  for (const text of datasetWarnings(dataset, maxLength)) options.onWarning?.(text);
  const { loss, tokens, rows } = await evaluate({ backend: await backend(), loss: model.loss, batches: evaluationWindows(dataset.rows), execution: options.execution });
  return { loss, perplexity: Math.exp(loss), tokens, rows };
}
