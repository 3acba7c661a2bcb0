// What the time model of `lowrank plan --on` is calibrated by, from bench/results/costModel.json.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../lib/paths.mjs';

/** In sentences. */
const titles = { cpu: 'the CPU', software: 'a GPU in software (lavapipe)' };

/** @returns {import('../generate.mjs').Generated} */
export function calibrations() {
  /** @type {Record<string, any>} */
  const found = JSON.parse(readFileSync(join(root, 'bench/results/costModel.json'), 'utf8'));
  const entries = Object.entries(titles).map(([kind, device]) => {
    const { date, runs, error, efficiency } = found[kind];
    const shares = Object.entries(efficiency).map(([group, share]) => `      ${keyOf(group)}: ${share},\n`);
    return (
      `  ${kind}: {\n    device: '${device}',\n    date: '${date}',\n    runs: ${runs},\n` +
      `    error: { median: ${error.median}, most: ${error.most} },\n` +
      `    efficiency: {\n${shares.join('')}    },\n  },\n`
    );
  });
  return {
    path: 'packages/lowrank/src/jobs/planning/time/calibrations.ts',
    text:
      '// Made by scripts/generate.mjs from bench/results/costModel.json: do not edit.\n' +
      "import type { LaunchGroup } from '../launches.js';\n\n" +
      '/** What was measured of a device, and how far the model was off there. */\n' +
      'export interface Calibration {\n' +
      '  readonly device: string;\n  readonly date: string;\n' +
      '  /** Steps that were measured. */\n  readonly runs: number;\n' +
      '  /** |expected / measured − 1| of whole steps, each by what was fitted to the others. */\n' +
      '  readonly error: { readonly median: number; readonly most: number };\n' +
      '  /** The share of the rates of a square product and of a sum of vectors that launches of a group reach. */\n' +
      '  readonly efficiency: Readonly<Partial<Record<LaunchGroup, number>>>;\n}\n\n' +
      '/** The devices that are measured: the CPU backend, and a GPU that a CPU pretends to be. */\n' +
      "export type CalibratedKind = 'cpu' | 'software';\n\n" +
      'export const calibrations: Readonly<Record<CalibratedKind, Calibration>> = {\n' +
      `${entries.join('')}};\n`,
  };
}

/** @param {string} name */
function keyOf(name) {
  return /^\w+$/.test(name) ? name : `'${name}'`;
}
