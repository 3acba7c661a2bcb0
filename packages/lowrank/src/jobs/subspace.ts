import { LowrankError } from '@lowrank/errors';
import type { ProjectionName } from '@lowrank/methods';
import { extractSubspace, injectSubspace, serializeSubspace } from '@lowrank/methods';
import { writeFileAtomic } from '@lowrank/safetensors';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { OpenModel } from './openModel.js';
import type { Trainable } from './trainable.js';

/** What `--method subspace` takes. */
export interface SubspaceFlags {
  /** d. */
  readonly dimension?: number;
  /** Default: sparse. */
  readonly projection?: ProjectionName;
  /** Coordinates that a weight of the sparse projection is the sum of; default 1. */
  readonly entries?: number;
  /** A learned scale for each layer, out of d. */
  readonly structureAware?: boolean;
}

/** Every weight within a random subspace: z is trained, and saved as a folder of our own. */
export function trainSubspace(
  { module, folder: origin }: OpenModel,
  flags: SubspaceFlags & { readonly seed: number; readonly baseModel?: string },
): Trainable {
  const { dimension = 0, projection = 'sparse', entries = 1, structureAware = false, seed, baseModel = origin } = flags;
  const subspace = injectSubspace(module, { dimension, projection, entries, structureAware, seed });
  return {
    parameters: subspace.parameters,
    async save(folder) {
      await mkdir(folder, { recursive: true });
      const files = serializeSubspace(await extractSubspace(subspace, { baseModel }));
      for (const name of ['adapter_model.safetensors', 'adapter_config.json'] as const)
        await writeFileAtomic(join(folder, name), files[name]);
    },
  };
}

/** @throws LowrankError `cli.conflict` */
export function checkSubspaceFlags({
  method = 'lora',
  dimension,
  projection,
  entries,
  structureAware,
}: SubspaceFlags & { readonly method?: string }): void {
  if (method === 'subspace' && dimension === undefined)
    throw new LowrankError({
      code: 'cli.conflict',
      what: '--method subspace',
      expected: '--dimension beside it',
      got: 'none',
      remedy: 'For example: --dimension 1000',
    });
  const given = Object.entries({
    '--dimension': dimension,
    '--projection': projection,
    '--entries': entries,
    '--structure-aware': structureAware,
  }).find(([, value]) => value !== undefined);
  if (method !== 'subspace' && given !== undefined)
    throw new LowrankError({
      code: 'cli.conflict',
      what: `${given[0]} with --method ${method}`,
      expected: 'one of the two',
      got: 'both',
      remedy: 'Leave the flag out, or use --method subspace.',
    });
  if (projection === 'fastfood' && entries !== undefined)
    throw new LowrankError({
      code: 'cli.conflict',
      what: '--entries with --projection fastfood',
      expected: 'one of the two',
      got: 'both',
      remedy: 'Every row of Fastfood is dense; leave --entries out.',
    });
}
