import { quantizationSettings } from '@lowrank/quant';
import type { Command } from 'commander';
import { devices } from '../device.js';
import type { Precision } from '@lowrank/tensor/backend';
import { trainingSettings } from '@lowrank/trainer';
import type { Robustness } from '@lowrank/webgpu';
import type { DeviceName } from '../device.js';
import { choiceFlag } from './numbers.js';
import { outputSettings } from '../settings/runSettings.js';
import { addSettingFlags } from './settingFlags.js';

/** Flags of every command. */
export interface CommonFlags {
  device: DeviceName;
  json: boolean;
}

/** Flags of the commands that compute on a device. */
export interface ComputingFlags extends CommonFlags {
  robustness: Robustness;
  tune: boolean;
}

/** Flags of the commands that use a model and train none. */
export interface AnsweringFlags extends ComputingFlags {
  precision?: Precision;
}

export const jsonHelp = 'JSON lines on stdout, the result last; sentences go to stderr';
export const modelHelp = 'Hugging Face folder, hub id (owner/name or owner/name@revision) or URL, or a GGUF file';

export function quantizing(command: Command): Command {
  return addSettingFlags(command, quantizationSettings);
}

/** Of whatever writes an output. */
export function overwriting(command: Command): Command {
  return addSettingFlags(command, outputSettings);
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

/** `computing`, of what uses a model: those that train have the flag among the settings of training. */
export function answering(command: Command): Command {
  return computing(addSettingFlags(command, trainingSettings, { only: ['precision'] }));
}

/** `common`, of what computes on a device. */
export function computing(command: Command): Command {
  return common(command)
    .option(
      '--robustness <on|off>',
      'off: WebGPU kernels run without guards around their indices, which is faster; Lowrank’s are tested to need none',
      choiceFlag('--robustness', ['on', 'off'] as const),
      'on',
    )
    .option('--no-tune', 'choose WebGPU kernels by a table, not by measuring them on this GPU for a few seconds, once');
}
