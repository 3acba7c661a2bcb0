// Generated from the files of this folder by scripts/generate.mjs.
import type { LoraVariant } from '../variant.js';
import { dora } from './dora.js';
import { plain } from './plain.js';

/** PEFT's; a configuration asks for one by its settings. */
export const variants: readonly LoraVariant[] = [dora, plain];
