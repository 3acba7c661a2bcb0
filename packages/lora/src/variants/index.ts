import type { LoraConfig } from '../config.js';
import type { LoraVariant } from '../variant.js';
import { dora } from './dora.js';
import { plain } from './plain.js';

/**
 * PEFT's. The first that a configuration asks for is its variant, where it brings none of its own; a new one goes
 * before `plain`.
 */
const variants: readonly LoraVariant[] = [dora, plain];

export function variantOf(config: LoraConfig): LoraVariant {
  return config.variant ?? variants.find((variant) => variant.asked?.(config) === true) ?? plain;
}
