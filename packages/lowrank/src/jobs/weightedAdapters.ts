import { LowrankError } from '@lowrank/errors';
import { activateAdapter, loadAdapter, scaleAdapter } from '@lowrank/patch';
import { readLoraFolder } from '../adapterFolder.js';
import type { OpenModel } from './openModel.js';

/** Several LoRA adapters that add up, each times its weight. */
export interface WeightedAdapters {
  /** Folders. */
  readonly adapters: readonly string[];
  /** One for each; 1 by default. Negative ones take off what an adapter has learned. */
  readonly adapterWeights?: readonly number[] | undefined;
}

/**
 * Loads adapters into a model and makes all of them active: Σ wᵢ·sᵢ·Bᵢ·Aᵢ is added to each layer.
 *
 * @throws LowrankError `cli.adapterWeights` for another number of weights, and what loading an adapter throws
 */
export async function loadWeightedAdapters(
  { module }: Pick<OpenModel, 'module'>,
  { adapters, adapterWeights }: WeightedAdapters,
  onWarning?: (text: string) => void,
): Promise<void> {
  if (adapterWeights !== undefined && adapterWeights.length !== adapters.length)
    throw new LowrankError({
      code: 'cli.adapterWeights',
      what: (names) => names('adapterWeights'),
      expected: `${adapters.length} of them, one for each ${adapters.length === 1 ? 'adapter' : 'of the adapters'}`,
      got: adapterWeights.join(','),
    });
  // Names of their own: two folders may be called alike.
  const names = adapters.map((_, at) => `adapter${at + 1}`);
  for (const [at, folder] of adapters.entries())
    await loadAdapter(module, await readLoraFolder(folder, onWarning), { name: names[at] ?? '', onWarning });
  activateAdapter(module, names);
  names.forEach((name, at) => scaleAdapter(module, name, adapterWeights?.[at] ?? 1));
}
