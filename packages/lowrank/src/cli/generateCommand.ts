import { LowrankError } from '@lowrank/errors';
import { wholeNumber } from '@lowrank/settings';
import type { Backend } from '@lowrank/tensor';
import type { Command } from 'commander';
import type { TransferEvents } from '../jobs/folders.js';
import { generateBatch } from '../jobs/generate.js';
import type { QuantizationOptions } from '../jobs/quantization.js';
import type { Speaker } from './io.js';
import { numberFlag } from './numbers.js';
import type { SamplingFlags } from './samplingFlags.js';
import { addSamplingFlags, listOf } from './samplingFlags.js';

export interface GenerateFlags extends SamplingFlags, QuantizationOptions {
  model: string;
  adapter?: string[];
  adapterWeights?: number[];
  prompt?: string[];
  maxNewTokens?: number;
  stream?: boolean;
  json: boolean;
}

const weightFlag = numberFlag('--adapter-weights');

/** The flags of `generate` alone: those it shares with other commands are added by the program. */
export function addGenerateFlags(command: Command): Command {
  command
    .option('--adapter <adapter>', 'PEFT adapter: folder, hub id or URL; several LoRA adapters add up', listOf)
    .option(
      '--adapter-weights <numbers>',
      'factors on what each adapter adds, in their order: 0.7,0.3 (default: 1 each)',
      (text) => text.split(',').map((each) => weightFlag(each)),
    )
    .option(
      '--prompt <text>',
      'what to continue; empty begins with BOS alone; several are continued side by side',
      listOf,
    )
    .option(
      '--max-new-tokens <n>',
      'tokens to write at most (default: 128, or what the context leaves)',
      numberFlag('--max-new-tokens', wholeNumber({ min: 1 })),
    )
    .option('--stream', 'write the text while it is made; with --json, a line for each piece');
  return addSamplingFlags(command, { temperature: 0, topP: 1 }).addHelpText(
    'after',
    '\nExample:\n  $ lowrank generate --model ./llama --adapter ./adapter --prompt "Once upon" ' +
      '--max-new-tokens 100 --temperature 0.8 --top-p 0.95 --stream',
  );
}

/** One prompt gives {text, ids}; several give {results} of {prompt, text, ids}. */
export async function generateCommand(
  flags: GenerateFlags & TransferEvents,
  { backend, speaker }: { readonly backend: () => Promise<Backend>; readonly speaker: Speaker },
): Promise<void> {
  const prompts = flags.prompt ?? [''];
  const several = prompts.length > 1;
  if (flags.stream === true && several && !flags.json)
    throw new LowrankError({
      code: 'cli.conflict',
      what: '--stream with several prompts',
      expected: '--json, which names the prompt of each piece',
      got: 'no --json',
      remedy: 'Leave --stream out, or add --json.',
    });
  const onText = (piece: string, prompt: number): void => {
    speaker.line({ piece, ...(several ? { prompt } : {}) });
    if (!flags.json) speaker.io.stdout(piece);
  };
  const { adapter = [], ...options } = flags;
  const [one, ...more] = adapter;
  // One without a factor may be of any method.
  const single = more.length === 0 && options.adapterWeights === undefined && one !== undefined;
  const results = await generateBatch({
    ...options,
    ...(single ? { adapter: one } : { adapters: adapter }),
    prompts,
    backend,
    ...(flags.stream === true ? { onText } : {}),
  });
  const [only = { text: '', ids: [] }] = results;
  if (!several && flags.stream === true && !flags.json) speaker.io.stdout('\n');
  else if (!several) speaker.written(only, only.text);
  else
    speaker.written(
      { results: results.map((result, at) => ({ prompt: prompts[at] ?? '', ...result })) },
      results.map(({ text }, at) => `${at === 0 ? '' : '\n'}> ${prompts[at] ?? ''}\n${text}`).join('\n'),
    );
}
