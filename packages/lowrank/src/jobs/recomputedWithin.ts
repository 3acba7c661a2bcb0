import type { Recomputation } from './planning/memoryBudget.js';
import { fewestRecomputed, overBudget } from './planning/memoryBudget.js';
import type { PlannedPart } from './plannedBytes.js';
import { plannedBytes } from './plannedBytes.js';

/**
 * How many of its layers a run computes twice so that a step takes at most `budget` bytes by its plan, the model
 * included. The parameters are what they were afterwards.
 *
 * @throws LowrankError `cli.memoryBudget` where all of them are not enough
 */
export async function recomputedWithin(budget: number, layers: number, part: PlannedPart): Promise<Recomputation> {
  const held = part.parameters.map(({ parameter }) => [parameter, parameter.own] as const);
  const bytesOf = (checkpointing: number | true): Promise<number | undefined> => {
    const bytes = plannedBytes({ ...part, options: { ...part.options, checkpointing } });
    // Planning leaves views of vectors that hold nothing in their place.
    for (const [parameter, own] of held) parameter.own = own;
    return Promise.resolve(bytes);
  };
  const found = await fewestRecomputed(layers, budget, bytesOf);
  if (found === undefined) throw overBudget(budget, await bytesOf(true), []);
  return found;
}
