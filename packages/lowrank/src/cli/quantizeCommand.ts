import type { Command } from 'commander';
import type { QuantizationType } from '@lowrank/quant';
import { quantizationSettings } from '@lowrank/quant';
import { describeSchema, wholeNumber } from '@lowrank/settings';
import type { QuantizeFolderOptions, QuantizeResult } from '../jobs/quantize.js';
import { quantizeFolder } from '../jobs/quantize.js';
import type { Speaker } from './io.js';
import { listFlag, numberFlag } from './numbers.js';
import { transferReporter } from './progress.js';
import { textReader } from './settingFlags.js';

export interface QuantizeFlags {
  model: string;
  output: string;
  overwrite?: boolean;
  type: QuantizationType;
  doubleQuantization?: boolean;
  blockSize?: number;
  skipModules?: string[];
  json: boolean;
}

const { quantization } = quantizationSettings.settings;

export function addQuantizeFlags(command: Command): Command {
  return command
    .description("write a model with its linear layers in 4 or 8 bits, in bitsandbytes' layout")
    .requiredOption('--model <model>', 'Hugging Face model: folder, hub id or URL')
    .requiredOption('--output <folder>', 'where the quantized model goes')
    .requiredOption('--type <type>', describeSchema(quantization.schema), textReader('--type', quantization.schema))
    .option('--double-quantization', 'quantize the scales of 4-bit blocks too')
    .option(
      '--block-size <n>',
      'weights of a 4-bit block: 32, 64 … 4096 (default: 64)',
      numberFlag('--block-size', wholeNumber({ min: 1 })),
    )
    .option(
      '--skip-modules <names>',
      'layers to leave as they are, besides the output projection: a,b',
      listFlag('--skip-modules'),
    )
    .option('--json', 'JSON lines on stdout, the result last; sentences go to stderr', false)
    .addHelpText(
      'after',
      '\nExample:\n  $ lowrank quantize --model ./llama --output ./llama-nf4 --type nf4 --double-quantization',
    );
}

/** Ctrl-C ends it between two tensors and leaves nothing. */
export async function quantizeCommand({
  flags,
  speaker,
  onInterrupted,
}: {
  readonly flags: QuantizeFlags;
  readonly speaker: Speaker;
  readonly onInterrupted: () => void;
}): Promise<void> {
  const controller = new AbortController();
  const release = speaker.io.onInterrupt(() => controller.abort());
  const options: QuantizeFolderOptions = {
    ...flags,
    signal: controller.signal,
    onTransfer: transferReporter(speaker),
    onWarning: (text) => speaker.say(`warning: ${text}`),
  };
  try {
    const result = await quantizeFolder(options);
    speaker.result(result, describe(result));
  } catch (error) {
    if (!controller.signal.aborted || error !== controller.signal.reason) throw error;
    onInterrupted();
    speaker.say('\ninterrupted: nothing was written.');
  } finally {
    release();
  }
}

function describe({ model, type, quantized, kept, bytes_before, bytes_after, error }: QuantizeResult): string {
  const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
  return [
    `${quantized.tensors} matrices in ${type}: ${megabytes(quantized.bytes_before)} became ` +
      `${megabytes(quantized.bytes_after)}, with a mean error of ${error.mean_absolute.toPrecision(3)} (at ` +
      `most ${error.max_absolute.toPrecision(3)})`,
    `${kept} tensors kept; ${megabytes(bytes_before)} became ${megabytes(bytes_after)} in all; the model ` +
      `lies in ${model}`,
  ].join('\n');
}
