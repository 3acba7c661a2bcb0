import type { Command } from 'commander';
import type { LoraAdapter } from '@lowrank/lora';
import { findModel } from '@lowrank/models';
import { claimOutput, saveTogether } from '@lowrank/files';
import { wholeNumber } from '@lowrank/settings';
import { describeSpectrum, spectrumChart, spectrumMarkdown, spectrumOfFolders } from '@lowrank/study';
import type { TransferEvents } from '../jobs/folders.js';
import { readLoraFolder } from '../adapterFolder.js';
import type { Speaker } from './io.js';
import { numberFlag } from './numbers.js';

export interface SpectrumFlags {
  model: string;
  tuned: string;
  adapter?: string;
  output?: string;
  overwrite?: boolean;
  rank?: number;
  json: boolean;
}

export function addSpectrumFlags(command: Command): Command {
  return command
    .description(
      'the singular values of what full fine-tuning did to each matrix and those of a LoRA, and how much their ' +
        'spaces have in common',
    )
    .requiredOption(
      '--model <model>',
      'the base: Hugging Face folder, hub id (owner/name or owner/name@revision) or URL',
    )
    .requiredOption('--tuned <model>', 'the base with every weight fine-tuned, as train --method full writes it')
    .option('--adapter <adapter>', 'a LoRA of the same base: folder, hub id or URL')
    .option('--output <folder>', 'where spectrum.json, spectrum.md and spectrum.svg go')
    .option(
      '--rank <k>',
      'singular values that are found of a matrix with more than 512 rows and columns (default: 64)',
      numberFlag('--rank', wholeNumber({ min: 1 })),
    )
    .option('--json', 'JSON lines on stdout, the result last; sentences go to stderr', false)
    .addHelpText(
      'after',
      '\nExample:\n  $ lowrank spectrum --model ./llama --tuned ./tuned --adapter ./adapter --output ./spectrum',
    );
}

export async function spectrumCommand(
  { output, overwrite, ...flags }: SpectrumFlags,
  speaker: Speaker,
  events: TransferEvents,
): Promise<void> {
  const claim =
    output === undefined
      ? undefined
      : await claimOutput(output, {
          overwrite,
          inputs: [flags.model, flags.tuned, ...(flags.adapter === undefined ? [] : [flags.adapter])],
        });
  try {
    const { model, tuned, adapter, rank } = flags;
    const result = await spectrumOfFolders({
      model,
      tuned,
      adapter: adapter === undefined ? undefined : { name: adapter, lora: await readLora(adapter, events) },
      rank,
      onWarning: events.onWarning,
      onProgress: (progress) => events.onTransfer?.({ stage: 'downloading', ...progress }),
      onLayer: (done, of, path) => speaker.line({ layer: path, done, of }),
    });
    if (claim !== undefined)
      await saveTogether(claim.beginSaving('spectrum.json'), async (saving) => {
        await saving.write('spectrum.svg', spectrumChart(result));
        await saving.write('spectrum.md', spectrumMarkdown(result));
        await saving.write('spectrum.json', `${JSON.stringify(result)}\n`);
      });
    speaker.result(result, describeSpectrum(result));
  } finally {
    await claim?.discard();
  }
}

async function readLora(adapter: string, { onTransfer, onWarning }: TransferEvents): Promise<LoraAdapter> {
  const { folder } = await findModel(adapter, {
    kind: 'adapter',
    onWarning,
    onProgress: (progress) => onTransfer?.({ stage: 'downloading', ...progress }),
  });
  return readLoraFolder(folder);
}
