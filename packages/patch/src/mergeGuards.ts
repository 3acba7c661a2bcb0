import { LowrankError } from '@lowrank/errors';
import { LoraLayer } from '@lowrank/lora';
import type { Module, Parameter } from '@lowrank/nn';

/**
 * Refuses what would go wrong while adapters are merged into their layers' weights. @throws LowrankError `patch.merged`
 */
export function requireUnmerged(model: Module, what: string): void {
  for (const [path, module] of model.namedModules()) {
    if (!(module instanceof LoraLayer) || module.merged.length === 0) continue;
    throw new LowrankError({
      code: 'patch.merged',
      what,
      expected: 'a model without merged adapters',
      got: `${module.merged.map(({ name }) => name).join(', ')} merged into ${path}`,
      remedy: 'Call await unmergeAdapter(model) first.',
    });
  }
}

/**
 * Refuses to merge into a weight that is recomputed at every use: nobody would see what is written there.
 * @throws LowrankError `patch.mergeDerived`
 */
export function requireStored(path: string, weight: Parameter): void {
  if (weight.isDerived)
    throw new LowrankError({
      code: 'patch.mergeDerived',
      what: `merging into ${path}`,
      expected: 'a stored weight',
      got: 'one that is computed from another (a subspace)',
      remedy: 'Fold or remove the subspace first.',
    });
}
