import type { MemoryPlannedEvent } from '../front/runOptions.js';
import { megabytes } from '../jobs/planning/memoryBudget.js';

/** What a budget has decided. */
export function describeMemory({ bytes, recomputedLayers, layers }: MemoryPlannedEvent): string {
  const twice =
    recomputedLayers === 0
      ? 'nothing is computed twice'
      : `the first ${recomputedLayers} of ${layers} layers are computed twice`;
  return `a step takes ${megabytes(bytes)} by its plan: ${twice}`;
}
