import type { GivenOptions, ParsedOptions } from '@lowrank/settings';
import { parseValues } from '@lowrank/settings';
import { loraValues } from './loraValues.js';

/** A configuration of LoRA: PEFT's LoraConfig. */
export type LoraConfig = ParsedOptions<typeof loraValues>;

/**
 * A configuration from what a user gave, each value checked by itself; alpha defaults to r (a factor of 1). What goes
 * with what, and whether patterns can be read, is checked where the configuration is used: `addAdapter` does, before
 * it changes anything, and `checkLoraConfig` at once. So a page that only makes one loads no reader of regular
 * expressions.
 *
 * @throws LowrankError `lora.config` for a setting that there is not (the nearest is named), that is missing, or that
 * is out of bounds
 */
export function loraConfig(given: GivenOptions<typeof loraValues>): LoraConfig {
  return parseValues(loraValues, given);
}
