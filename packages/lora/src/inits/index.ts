// Generated from the files of this folder by scripts/generate.mjs.
import type { Init } from '../init.js';
import { gaussian } from './gaussian.js';
import { kaiming } from './kaiming.js';
import { mica } from './mica.js';
import { olora } from './olora.js';
import { orthogonal } from './orthogonal.js';
import { pissa } from './pissa.js';

/** What each layer makes by itself, by name. */
export const inits: Readonly<Record<string, Init>> = { gaussian, kaiming, mica, olora, orthogonal, pissa };
