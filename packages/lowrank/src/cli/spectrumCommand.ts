import { join } from 'node:path';
import type { Command } from 'commander';
import { writeFileAtomic } from '@lowrank/safetensors';
import type { TransferEvents } from '../jobs/folders.js';
import { spectrumOfFolders } from '../jobs/spectrum.js';
import { spectrumChart } from '../jobs/spectrumChart.js';
import { openOutputFolder } from '../outputFolder.js';
import { describeSpectrum, spectrumMarkdown } from './describeSpectrum.js';
import type { Speaker } from './io.js';
import { numberFlag } from './numbers.js';

export interface SpectrumFlags {
  model: string;
  tuned: string;
  adapter?: string;
  output?: string;
  rank?: number;
  json: boolean;
}

export function addSpectrumFlags(command: Command): Command {
  return command
    .description(
      "the singular values of what full fine-tuning did to each matrix, beside a LoRA's, and how much their " +
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
      numberFlag('--rank', { whole: true, min: 1 }),
    )
    .option('--json', 'JSON lines on stdout, the result last; sentences go to stderr', false)
    .addHelpText(
      'after',
      '\nExample:\n  $ lowrank spectrum --model ./llama --tuned ./tuned --adapter ./adapter --output ./spectrum',
    );
}

export async function spectrumCommand(
  { output, ...flags }: SpectrumFlags,
  speaker: Speaker,
  events: TransferEvents,
): Promise<void> {
  const folder =
    output === undefined
      ? undefined
      : await openOutputFolder(output, {
          inputs: [flags.model, flags.tuned, ...(flags.adapter === undefined ? [] : [flags.adapter])],
        });
  try {
    const result = await spectrumOfFolders({
      ...flags,
      ...events,
      onLayer: (done, of, path) => speaker.line({ layer: path, done, of }),
    });
    if (output !== undefined) {
      await writeFileAtomic(join(output, 'spectrum.svg'), await spectrumChart(result));
      await writeFileAtomic(join(output, 'spectrum.md'), spectrumMarkdown(result));
      await writeFileAtomic(join(output, 'spectrum.json'), `${JSON.stringify(result)}\n`);
    }
    speaker.result(result, describeSpectrum(result));
  } catch (error) {
    await folder?.discard();
    throw error;
  }
}
