import type { RowSelection, TextFiles, TextTokenizer } from '@lowrank/data';
import { readChatTemplate, readTokenizer } from '@lowrank/data';
import type { OutputClaim } from '@lowrank/files';
import { claimOutput } from '@lowrank/files';
import type { AppliedMethod, MethodName } from '@lowrank/methods';
import { methodNamed } from '@lowrank/methods';
import type { CausalModel } from '@lowrank/models';
import type { Execution } from '@lowrank/trainer';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { backendOnce } from '../device.js';
import type { BackendOrOpener } from '../device.js';
import { checkKeepsTables, newTokens } from '../front/newTokens.js';
import type { RunEvent, TrainingModel } from '../front/runTraining.js';
import { runTraining } from '../front/runTraining.js';
import { forgiving, openMetricsFile, metricsOf } from '../metricsFile.js';
import { filesToSave, saveFolder } from '../saveFolder.js';
import { checkOptions, checkValues } from '../settings/checkOptions.js';
import type { CommonOptions, MethodOptions, OutputOptions, TokenOptions } from '../settings/methodTables.js';
import type { TransferEvents } from './folders.js';
import { withFolders } from './folders.js';
import { openModel } from './openModel.js';
import { quantizationOf } from './quantization.js';
import { ownTokenizer, tokenizerFiles } from './tokenizerFiles.js';

/** Options of `fineTuneFolder`: those declared in tables (settings/methodTables.ts), and what a run is about. */
export interface FineTuneFolderOptions
  extends Pick<TransferEvents, 'onTransfer'>, MethodOptions, CommonOptions, OutputOptions, TokenOptions, RowSelection {
  readonly backend: BackendOrOpener;
  /** Hugging Face folder, hub id (owner/name or owner/name@revision) or URL. */
  readonly model: string;
  /** JSONL file of rows. */
  readonly data: string;
  /** Default: the model's. */
  readonly tokenizer?: TextTokenizer;
  /** Folder for what is learned, and metrics.jsonl. */
  readonly output: string;
  readonly evalData?: string;
  /**
   * LoRA (the default), every weight (`full`), every weight within a random subspace (`subspace`), or one of the other
   * methods: `bitfit`, `prompt`, `prefix`, `adapter`.
   */
  readonly method?: MethodName;
  readonly execution?: Execution;
  readonly signal?: AbortSignal;
  onEvent?(event: FineTuneEvent): void | Promise<void>;
}

/** The options that are no settings. */
const runOptions: readonly (keyof FineTuneFolderOptions)[] = [
  'backend',
  'model',
  'data',
  'parts',
  'tokenizer',
  'output',
  'evalData',
  'execution',
  'signal',
  'onEvent',
  'onTransfer',
];

export type FineTuneEvent = RunEvent;

/** What `lowrank train` prints last. */
export interface FineTuneResult {
  readonly steps: number;
  /** Of the last step; null where none was taken. */
  readonly final_loss: number | null;
  /** Over all label tokens of the evaluation rows; null without them, and after an interruption. */
  readonly eval_loss: number | null;
  readonly tokens: number;
  readonly seconds: number;
  /** Numbers that were trained. */
  readonly trained_parameters: number;
  /** Of the file of weights that was saved; 0 where nothing was, since no step was taken. */
  readonly file_bytes: number;
  /** The adapter's folder; null with the method `full`. */
  readonly adapter: string | null;
  /** The Hugging Face folder; null with all methods but `full`. */
  readonly model: string | null;
  readonly interrupted: boolean;
}

/**
 * Fine-tunes a model folder on a file of rows and writes a PEFT folder (or, with `full`, a model folder) and
 * metrics.jsonl. What `lowrank train` does.
 *
 * All that can be known to be wrong is found before the first step. A run that fails leaves nothing behind in `output`.
 *
 * @throws LowrankError what claimOutput throws: `output.taken` where `output` holds something and `overwrite` is not
 * given
 */
export async function fineTuneFolder(given: FineTuneFolderOptions): Promise<FineTuneResult> {
  checkOptions(given);
  checkValues(given, runOptions);
  const warnings: string[] = [];
  const options = await withFolders(given, {
    onTransfer: given.onTransfer,
    onWarning: (text) => void warnings.push(text),
  });
  for (const text of warnings) await options.onEvent?.({ type: 'warning', text });
  const { output, overwrite } = options;
  const claim = await claimOutput(output, { inputs: [options.model], overwrite });
  try {
    return await trainFolder(options, claim);
  } finally {
    // Removes what was made for it and is empty, too.
    await claim.discard();
  }
}

async function trainFolder(
  options: FineTuneFolderOptions & { readonly baseModel: string },
  claim: OutputClaim,
): Promise<FineTuneResult> {
  const chosen = methodNamed(options.method ?? 'lora');
  const { saves } = chosen;
  if (options.addTokens !== undefined) checkKeepsTables(chosen);
  const backend = backendOnce(options.backend);
  const texts = await tokenizerFiles(options.model, options.initAdapter);
  const read = options.tokenizer ?? (await readTokenizer(texts));
  // The trainer lays trained weights out itself, from the host.
  const open = await openModel(options.model, { ...options, backend: saves === 'model' ? undefined : backend });
  const { tokenizer, files } = await tokenizerOf({ ...options, tokenizer: read }, open.module, texts);
  for (const text of tokenizer.warnings) await options.onEvent?.({ type: 'warning', text });
  const model: TrainingModel = {
    open,
    tokenizer,
    chatTemplate: () => readChatTemplate(texts, { file: options.template }),
    backend,
    quantization: quantizationOf(options),
  };
  const metrics = forgiving(await openMetricsFile(options.output), (text) =>
    options.onEvent?.({ type: 'warning', text }),
  );
  try {
    const { result, applied } = await runTraining(model, options, {
      async save(method, learned) {
        await saveFolder(options.output, await filesToSave(method, learned, { ...open, tokenizer: files }), claim);
        await metrics.finish();
        return options.output;
      },
      async onEvent(event) {
        if (event.type === 'step') await metrics.write(metricsOf(event));
        await options.onEvent?.(event);
      },
    });
    const saved = result.steps > 0;
    return {
      steps: result.steps,
      final_loss: result.finalLoss ?? null,
      eval_loss: result.evaluation?.loss ?? null,
      tokens: result.tokens,
      seconds: result.seconds,
      trained_parameters: sizeOf(applied),
      file_bytes: saved ? await weightBytes(options.output, saves) : 0,
      adapter: saved && saves === 'adapter' ? options.output : null,
      model: saved && saves === 'model' ? options.output : null,
      interrupted: result.interrupted,
    };
  } finally {
    await metrics.discard();
  }
}

/** The tokenizer, and its files where what is learned needs them: tokens were added, now or when an adapter began. */
async function tokenizerOf(
  { tokenizer, addTokens, initAdapter }: Omit<FineTuneFolderOptions, 'tokenizer'> & { tokenizer: TextTokenizer },
  module: CausalModel,
  texts: TextFiles,
): Promise<{ tokenizer: TextTokenizer; files: Readonly<Record<string, string>> }> {
  if (addTokens !== undefined) return newTokens(texts, module, addTokens);
  return { tokenizer, files: initAdapter === undefined ? {} : await ownTokenizer(initAdapter) };
}

async function weightBytes(output: string, saved: 'adapter' | 'model'): Promise<number> {
  return (await stat(join(output, `${saved === 'model' ? 'model' : 'adapter_model'}.safetensors`))).size;
}

/** Numbers that are trained, each once. */
function sizeOf({ parameters }: AppliedMethod): number {
  return [...new Set(parameters.map(({ parameter }) => parameter))].reduce((sum, { tensor }) => sum + tensor.size, 0);
}
