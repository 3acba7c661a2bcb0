import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the checkout. */
export const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/[\\/]$/, '');

/** What the scripts unpack or remember between runs; deleted with node_modules. */
export const cache = join(root, 'node_modules/.cache/lowrank');

/** The folder of models, data and golden values that may lie beside the checkout, or undefined. */
export const shared = existsSync(join(root, '../shared/golden')) ? join(root, '../shared') : undefined;
