import type { TextTokenizer } from '@lowrank/data';
import { readTokenizer } from '@lowrank/data';
import { LowrankError } from '@lowrank/errors';
import { generate } from '@lowrank/models';
import { backendOnce } from '../device.js';
import type { BackendOrOpener } from '../device.js';
import type { TransferEvents } from './folders.js';
import { withFolders } from './folders.js';
import { openModel } from './openModel.js';
import type { QuantizationFlags } from './quantization.js';
import { loadAdapterInto } from './trainable.js';

export interface GenerateFolderOptions extends TransferEvents, QuantizationFlags {
  readonly backend: BackendOrOpener;
  readonly model: string;
  readonly adapter?: string;
  /** Empty: BOS alone. */
  readonly prompt: string;
  /** Default: 128, or what the model's positions leave room for. */
  readonly maxNewTokens?: number;
  readonly temperature?: number;
  readonly seed?: number;
  /** Sees each token as it is made. */
  readonly onToken?: (id: number) => void;
}

/** What `lowrank generate` prints: what was written, without the prompt. */
export interface GenerateFolderResult {
  readonly text: string;
  readonly ids: readonly number[];
}

/** Continues a prompt with a model folder, with or without an adapter folder; ends at EOS. */
export async function generateFolder(given: GenerateFolderOptions): Promise<GenerateFolderResult> {
  const options = await withFolders(given, given);
  const { temperature, seed, onToken } = options;
  const tokenizer = await readTokenizer(options.model);
  const backend = backendOnce(options.backend);
  const model = await openModel(options.model, { ...options, backend });
  const { module, contextLength } = model;
  if (options.adapter !== undefined) await loadAdapterInto(model, options.adapter);
  const prompt = promptIds(options.prompt, tokenizer);
  const maxNewTokens = options.maxNewTokens ?? Math.max(1, Math.min(128, contextLength - prompt.length));
  const stopIds = [...new Set([...(tokenizer.eosId === undefined ? [] : [tokenizer.eosId]), ...module.shape.eosIds])];
  const [ids = []] = await generate(module, { backend: await backend(), prompts: [prompt] }, { maxNewTokens, temperature, seed, stopIds, onToken });
  return { text: continuation(tokenizer, prompt, ids), ids };
}

/** BOS where the tokenizer adds one, and the text; nothing behind it, as rows are made for training. */
export function promptIds(text: string, tokenizer: TextTokenizer): number[] {
  const { bosId, addsBos } = tokenizer;
  if (text === '') {
    if (bosId !== undefined) return [bosId];
    throw new LowrankError({ code: 'cli.emptyPrompt', what: '--prompt', expected: 'some text, since this tokenizer has no BOS token to begin with', got: 'nothing' });
  }
  const ids = tokenizer.encode(text, { addSpecialTokens: false });
  return addsBos && bosId !== undefined ? [bosId, ...ids] : ids;
}

/** Decoded behind the prompt: alone, the first token would lose the space before it. */
function continuation(tokenizer: TextTokenizer, prompt: readonly number[], ids: readonly number[]): string {
  const before = tokenizer.decode(prompt);
  const all = tokenizer.decode([...prompt, ...ids]);
  return all.startsWith(before) ? all.slice(before.length) : tokenizer.decode(ids);
}
