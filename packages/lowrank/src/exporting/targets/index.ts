import type { ExportTarget } from '../exportedRun.js';
import { axolotl } from './axolotl.js';
import { llamaFactory } from './llamaFactory.js';
import { mlxLm } from './mlxLm.js';
import { trl } from './trl.js';

/** Engines that a run can be handed to: a file here each. */
export const exportTargets = {
  trl,
  axolotl,
  'mlx-lm': mlxLm,
  'llama-factory': llamaFactory,
} satisfies Readonly<Record<string, ExportTarget>>;

export type ExportTargetName = keyof typeof exportTargets;

export const exportTargetNames = Object.keys(exportTargets) as ExportTargetName[];
