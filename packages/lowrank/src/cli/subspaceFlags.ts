import { projections } from '@lowrank/methods';
import type { Command } from 'commander';
import { choiceFlag, numberFlag } from './numbers.js';

/** The flags of `--method subspace`. */
export function addSubspaceFlags(command: Command): Command {
  return command
    .option(
      '--dimension <d>',
      'with --method subspace: how many numbers are trained',
      numberFlag('--dimension', { whole: true, min: 1 }),
    )
    .option(
      '--projection <name>',
      `with --method subspace: ${projections.join(' or ')} (default: sparse)`,
      choiceFlag('--projection', projections),
    )
    .option(
      '--entries <s>',
      'with the sparse projection: coordinates that a weight is the sum of (default: 1)',
      numberFlag('--entries', { whole: true, min: 1 }),
    )
    .option('--structure-aware', 'with --method subspace: a learned scale for each layer, out of d');
}
