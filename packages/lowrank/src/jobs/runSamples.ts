import type { EncodedRow, TextTokenizer } from '@lowrank/data';
import { textStream } from '@lowrank/data';
import { createGenerator } from '@lowrank/models';
import type { RunSample } from '@lowrank/study';
import type { Backend } from '@lowrank/tensor';
import { endIds } from '../front/answerEnds.js';
import type { Learned } from '../front/savingOptions.js';
import type { OpenModel } from './openModel.js';
import { modelTexts } from './modelTexts.js';

/** Of an answer, and of what the row says. */
const mostTokens = 64;
/** Of a prompt, from its end: rows may be books. */
const mostCharacters = 3000;
/** For the answers of one side; a slow machine gives shorter ones. */
const mostMilliseconds = 30_000;

export interface RunSamplesOptions {
  readonly count: number;
  readonly tokenizer: TextTokenizer;
  readonly backend: Backend;
  /** Ends the answers; there are then no samples. */
  readonly signal?: AbortSignal | undefined;
}

/** What a row asks, and what it says. */
export interface HeldPrompt {
  readonly ids: readonly number[];
  readonly prompt: string;
  readonly wanted: string;
}

/**
 * What a model writes after some held-out prompts, greedily: with the method at work in it, and without. The method is
 * taken out for that and does not come back; where it cannot be (`full`), what the base writes is null. An answer ends
 * as the model ends texts, at a line break where no row's answer has one, and after 64 tokens.
 */
export async function runSamples(
  open: OpenModel,
  { method, applied }: Learned,
  held: readonly EncodedRow[],
  options: RunSamplesOptions,
): Promise<RunSample[]> {
  const prompts = heldPrompts(held, { ...options, room: open.contextLength });
  if (prompts.length === 0) return [];
  const after = await answers(open, prompts, options);
  let before: (string | null)[] = prompts.map(() => null);
  if (method.saves === 'adapter') {
    applied.remove();
    before = await answers(open, prompts, options);
  }
  if (options.signal?.aborted === true) return [];
  return prompts.map(({ prompt, wanted }, at) => ({
    prompt: prompt.slice(-mostCharacters),
    before: before[at] ?? null,
    after: after[at] ?? null,
    wanted,
  }));
}

/** Rows from all over the held-out ones, each with another prompt that leaves room for an answer. */
export function heldPrompts(
  rows: readonly EncodedRow[],
  { count, tokenizer, room }: Pick<RunSamplesOptions, 'count' | 'tokenizer'> & { readonly room: number },
): HeldPrompt[] {
  const chosen = new Map<string, HeldPrompt>();
  const from = (start: number): void => {
    for (const row of rows.slice(start)) {
      const found = promptOf(row, tokenizer);
      if (found === undefined || found.ids.length >= room || chosen.has(found.prompt)) continue;
      chosen.set(found.prompt, found);
      return;
    }
  };
  for (let at = 0; at < count; at++) from(Math.floor((at * rows.length) / count));
  return [...chosen.values()];
}

/** What comes before the first token that is learned, and the run of tokens that begins there. */
function promptOf({ ids, labels }: EncodedRow, tokenizer: TextTokenizer): HeldPrompt | undefined {
  const start = labels.findIndex((label) => label >= 0);
  if (start < 1) return undefined;
  const length = labels.subarray(start).findIndex((label) => label < 0);
  const answer = ids.subarray(start, length < 0 ? undefined : start + length);
  const prompt = tokenizer.decode(ids.subarray(0, start));
  if (prompt.trim() === '') return undefined;
  const isCut = answer.length > mostTokens + 1;
  const wanted = tokenizer.decode(isCut ? answer.subarray(0, mostTokens) : answer);
  return { ids: [...ids.subarray(0, start)], prompt, wanted: isCut ? `${wanted}…` : wanted };
}

async function answers(
  { folder, module, contextLength: room }: OpenModel,
  prompts: readonly HeldPrompt[],
  { tokenizer, backend, signal }: RunSamplesOptions,
): Promise<string[]> {
  const limit = AbortSignal.timeout(mostMilliseconds);
  const generator = createGenerator(module, { backend });
  try {
    const longest = Math.max(...prompts.map(({ ids }) => ids.length));
    const written = await generator.generate(
      prompts.map(({ ids }) => ids),
      {
        maxNewTokens: Math.min(mostTokens, room - longest),
        stopIds: await endIds(tokenizer, module, modelTexts(folder)),
        stopStrings: prompts.some(({ wanted }) => wanted.trim().includes('\n')) ? [] : ['\n'],
        text: (prompt) => textStream(tokenizer, prompt),
        signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
      },
    );
    return written.map(({ text, endedBy }) => (endedBy === 'length' || endedBy === 'signal' ? `${text}…` : text));
  } finally {
    await generator.dispose();
  }
}
