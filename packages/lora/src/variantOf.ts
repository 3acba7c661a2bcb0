import type { LoraConfig } from './config.js';
import type { LoraVariant } from './variant.js';
import { variants } from './variants/index.js';
import { plain } from './variants/plain.js';

/** The variant that a configuration asks for: its own, or the one of PEFT's whose settings it has; plain LoRA else. */
export function variantOf(config: LoraConfig): LoraVariant {
  return config.variant ?? variants.find((variant) => variant.asked?.(config) === true) ?? plain;
}
