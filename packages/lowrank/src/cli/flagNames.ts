import { dataSettings } from '@lowrank/data';
import { evaSettings, loraSettings } from '@lowrank/lora';
import type { SettingTable } from '@lowrank/settings';
import { checkpointSettings } from '../settings/runSettings.js';

/** Tables of settings that have flags of other names than their own. */
const tables: readonly SettingTable[] = [dataSettings, loraSettings, evaSettings, checkpointSettings];

/**
 * The flag of a setting: `rankPattern` → `--rank-pattern`, `eva.rho` → `--eva-rho`. The library speaks of settings, the
 * command line of flags.
 */
export function flagOf(setting: string): string {
  const [name = setting] = setting.split('.').slice(-1);
  const declared = tables.map(({ settings }) => settings[name]?.flag).find((flag) => typeof flag === 'string');
  return `--${declared ?? name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** The same with a value, as errors name it: `--method full`; a switch that is off is `--no-stream`. */
export function flagWith(setting: string, value?: string): string {
  if (value === 'false') return flagOf(setting).replace('--', '--no-');
  return value === undefined ? flagOf(setting) : `${flagOf(setting)} ${value}`;
}
