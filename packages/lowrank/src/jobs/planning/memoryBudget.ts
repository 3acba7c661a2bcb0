import { LowrankError } from '@lowrank/errors';

/** Which layers a step computes twice so that it fits a budget: the first ones, as few as it takes. */
export interface Recomputation {
  /** Layers, from the first on, that are computed again in the backward pass; true for all. */
  readonly layers: number | true;
  /** What the step then takes, by its plan. */
  readonly bytes: number;
}

/**
 * The fewest layers that have to be computed again for a step to take at most `budget` bytes, by bisection over plans.
 * They are the first ones of the model: those are needed last in the backward pass, so what they hold is held longest,
 * and while they are computed again all that the later ones held is free.
 *
 * @param layers of the model
 * @param bytesOf what a step takes with so many of them recomputed; undefined where there is no plan
 * @returns undefined where all of them are not enough
 */
export async function fewestRecomputed(
  layers: number,
  budget: number,
  bytesOf: (recomputed: number | true) => Promise<number | undefined>,
): Promise<Recomputation | undefined> {
  const measured = async (count: number | true): Promise<Recomputation | undefined> => {
    const bytes = await bytesOf(count);
    return bytes !== undefined && bytes <= budget ? { layers: count, bytes } : undefined;
  };
  const none = await measured(0);
  if (none !== undefined) return none;
  let best = await measured(true);
  // Beyond `low` layers are known to be needed, and `high` are enough.
  let [low, high] = [0, best === undefined ? 0 : layers];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    const found = await measured(middle);
    if (found === undefined) low = middle;
    else [high, best] = [middle, found];
  }
  return best;
}

/** A budget that no choice of layers meets. */
export function overBudget(budget: number, least: number | undefined, ways: readonly string[]): LowrankError {
  return new LowrankError({
    code: 'cli.memoryBudget',
    what: (names) => names('memoryBudget', megabytes(budget)),
    expected: 'room for a step with every layer computed twice',
    got: least === undefined ? 'no plan for this device' : `a step of ${megabytes(least)}`,
    remedy: (names) =>
      ways.length > 0
        ? `It fits with ${ways.join(', or with ')}.`
        : `\`lowrank plan\` with the same settings and --memory ${megabytes(budget)} instead of ` +
          `${names('memoryBudget')} says what would fit.`,
    setting: 'memoryBudget',
  });
}

/** As it is sold, and read as a setting, never less than it is: 1270.4MB. */
export function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1e5) / 10}MB`;
}
