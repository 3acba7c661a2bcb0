import type { TextTokenizer } from '@lowrank/data';
import { readTokenizer, textStream } from '@lowrank/data';
import { LowrankError } from '@lowrank/errors';
import type { KvCache, SamplingOptions } from '@lowrank/models';
import { createGenerator } from '@lowrank/models';
import { backendOnce } from '../device.js';
import type { BackendOrOpener } from '../device.js';
import { endIds } from '../front/answerEnds.js';
import { readGenerationConfig, samplingIn, samplingNote, samplingOf } from '../front/generationConfig.js';
import { promptTokens } from '../front/promptTokens.js';
import type { TransferEvents } from './folders.js';
import { withFolders } from './folders.js';
import { openModel } from './openModel.js';
import { tokenizerFiles } from './tokenizerFiles.js';
import type { QuantizationOptions } from './quantization.js';
import { loadMethod } from './loadMethod.js';
import { modelTexts } from './modelTexts.js';
import { loadWeightedAdapters } from './weightedAdapters.js';

export interface GenerateFolderOptions extends TransferEvents, QuantizationOptions, SamplingOptions {
  readonly backend: BackendOrOpener;
  readonly model: string;
  readonly adapter?: string;
  /** Several LoRA adapters that add up, in the place of one. */
  readonly adapters?: readonly string[] | undefined;
  /** Factors on what each of them adds. */
  readonly adapterWeights?: readonly number[] | undefined;
  /** Empty: BOS alone. */
  readonly prompt: string;
  /** Default: 128, or what the model's positions leave room for. */
  readonly maxNewTokens?: number;
  /** What keys and values are kept in. Default: f16 in mixed precision, else f32. */
  readonly kvCache?: KvCache | undefined;
  /** Strings that end the text, which is cut before them. */
  readonly stop?: readonly string[];
  /** Whether the folder's generation_config.json says how tokens are drawn where nothing here does. Default true. */
  readonly generationConfig?: boolean;
  /** Sees each token as it is made. */
  readonly onToken?: (id: number, prompt: number) => void;
  /** Sees each piece of text as it is sure. */
  readonly onText?: (piece: string, prompt: number) => void;
}

/** What `lowrank generate` prints: what was written, without the prompt. */
export interface GenerateFolderResult {
  readonly text: string;
  /** Where a stop string ended the text, up to the token that completed it. */
  readonly ids: readonly number[];
}

/** Continues a prompt with a model folder, with or without an adapter folder; ends at EOS. */
export async function generateFolder(given: GenerateFolderOptions): Promise<GenerateFolderResult> {
  const [result = { text: '', ids: [] }] = await generateBatch({ ...given, prompts: [given.prompt] });
  return result;
}

/** Continues several prompts side by side. */
export async function generateBatch(
  given: Omit<GenerateFolderOptions, 'prompt'> & { readonly prompts: readonly string[] },
): Promise<GenerateFolderResult[]> {
  const options = await withFolders(given, given);
  const several: string[] = [];
  for (const adapter of given.adapters ?? [])
    several.push((await withFolders({ model: options.model, adapter }, given)).adapter);
  const texts = await tokenizerFiles(options.model, options.adapter);
  const tokenizer = await readTokenizer(texts);
  for (const text of tokenizer.warnings) options.onWarning?.(text);
  const backend = backendOnce(options.backend);
  const model = await openModel(options.model, { ...options, backend });
  const { module, contextLength } = model;
  if (options.adapter !== undefined) await loadMethod(model, options.adapter, options.onWarning);
  if (several.length > 0 || options.adapterWeights !== undefined)
    await loadWeightedAdapters(model, { ...options, adapters: several }, options.onWarning);
  const prompts = options.prompts.map((prompt) => promptIds(prompt, tokenizer));
  const longest = Math.max(...prompts.map(({ length }) => length));
  const maxNewTokens = options.maxNewTokens ?? Math.max(1, Math.min(128, contextLength - longest));
  const folder = modelTexts(options.model);
  const config = await readGenerationConfig(folder, options.generationConfig);
  for (const text of [...config.warnings, ...samplingNote(config, options)]) options.onWarning?.(text);
  const sampling = samplingOf(samplingIn(options), config);
  const generator = createGenerator(module, { backend: await backend(), kvCache: options.kvCache });
  try {
    const written = await generator.generate(prompts, {
      ...options,
      ...sampling,
      maxNewTokens,
      stopIds: await endIds(tokenizer, module, folder),
      stopStrings: [...config.stopStrings, ...(options.stop ?? [])],
      text: (prompt) => textStream(tokenizer, prompt),
    });
    return written.map(({ text, ids }) => ({ text, ids }));
  } finally {
    await generator.dispose();
  }
}

/** The tokens of a prompt. @throws LowrankError `cli.emptyPrompt` where there is nothing to begin with */
export function promptIds(text: string, tokenizer: TextTokenizer): number[] {
  if (text !== '' || tokenizer.bosId !== undefined) return promptTokens(text, tokenizer);
  throw new LowrankError({
    code: 'cli.emptyPrompt',
    what: '--prompt',
    expected: 'some text, since this tokenizer has no BOS token to begin with',
    got: 'nothing',
  });
}
