import type { Command } from 'commander';
import { devices } from '../device.js';
import type { DeviceName } from '../device.js';
import { quantizationTypes } from '../jobs/quantization.js';
import { choiceFlag } from './numbers.js';

/** Flags of every command. */
export interface CommonFlags {
  device: DeviceName;
  json: boolean;
}

export const jsonHelp = 'JSON lines on stdout, the result last; sentences go to stderr';
export const modelHelp = 'Hugging Face folder, hub id (owner/name or owner/name@revision) or URL';

export function quantizing(command: Command): Command {
  return command
    .option(
      '--quantization <type>',
      `${quantizationTypes.join(', ')}: quantize linear layers while they load (default: as they are stored)`,
      choiceFlag('--quantization', quantizationTypes),
    )
    .option('--double-quantization', 'quantize the scales of 4-bit blocks too');
}

export function common(command: Command): Command {
  return command
    .option(
      '--device <name>',
      `${devices.join(', ')}; auto takes a real GPU if there is one, else the CPU`,
      choiceFlag('--device', devices),
      'auto',
    )
    .option('--json', jsonHelp, false);
}
