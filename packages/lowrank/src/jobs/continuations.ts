import type { TextTokenizer } from '@lowrank/data';
import { textStream } from '@lowrank/data';
import { createGenerator } from '@lowrank/models';
import type { Backend } from '@lowrank/tensor';
import { endIds } from '../front/answerEnds.js';
import { promptIds } from './generate.js';
import type { OpenModel } from './openModel.js';
import { modelTexts } from './modelTexts.js';

export interface ContinueOptions {
  readonly backend: Backend;
  readonly tokenizer: TextTokenizer;
  readonly maxNewTokens: number;
  /** Strings that end a text, which is cut before them. */
  readonly stop?: readonly string[];
  /** Prompts that are continued side by side. Default 16. */
  readonly batchSize?: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (done: number, of: number) => void;
}

/**
 * The likeliest continuation of each prompt, by one generator: prompts of similar length share a batch, and all batches
 * are of one size, so that few plans are compiled. A prompt that leaves the model less room than `maxNewTokens` gets
 * what room there is; one that leaves none gets an undefined text. When the signal is aborted the texts that are not
 * there yet are undefined too.
 */
export async function continuePrompts(
  { folder, module: model, contextLength: room }: OpenModel,
  prompts: readonly string[],
  options: ContinueOptions,
): Promise<(string | undefined)[]> {
  const { backend, tokenizer, maxNewTokens, stop, batchSize = 16, signal, onProgress } = options;
  const texts: (string | undefined)[] = prompts.map(() => undefined);
  const order = prompts
    .map((prompt, at) => ({ at, ids: promptIds(prompt, tokenizer) }))
    .filter(({ ids }) => ids.length < room)
    .sort((a, b) => b.ids.length - a.ids.length || a.at - b.at);
  const size = Math.min(batchSize, order.length);
  const stopIds = await endIds(tokenizer, model, modelTexts(folder));
  const generator = createGenerator(model, { backend });
  try {
    // Longest first: the caches and plans of the first batch are large enough for the others.
    for (let start = 0; start < order.length; start += size) {
      const batch = order.slice(start, start + size);
      const [longest] = batch;
      if (longest === undefined || signal?.aborted === true) break;
      const ids = Array.from({ length: size }, (_, at) => (batch[at] ?? longest).ids);
      const written = await generator.generate(ids, {
        maxNewTokens: Math.min(maxNewTokens, room - longest.ids.length),
        stopIds,
        stopStrings: stop,
        text: (prompt) => textStream(tokenizer, prompt),
        signal,
      });
      batch.forEach(({ at }, row) => {
        const answer = written[row];
        // What the signal cut short is no answer.
        texts[at] = answer?.endedBy === 'signal' ? undefined : answer?.text;
      });
      onProgress?.(Math.min(start + size, order.length), order.length);
    }
  } finally {
    await generator.dispose();
  }
  return texts;
}
