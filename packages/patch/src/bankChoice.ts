import { LowrankError } from '@lowrank/errors';

/**
 * What a row of a batch uses: an adapter, several that add up, several with weights (which may be negative), or, as
 * '__base__' (PEFT's name) or undefined, none.
 */
export type AdapterChoice = string | readonly string[] | Readonly<Record<string, number>> | undefined;

/** PEFT's name for no adapter at all. */
export const baseName = '__base__';

/** A choice as weights by name. @throws LowrankError `patch.noAdapter`, `patch.bank` */
export function weightsOf(choice: AdapterChoice, known: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  const weights = new Map<string, number>(
    choice === undefined || choice === baseName
      ? []
      : typeof choice === 'string'
        ? [[choice, 1]]
        : isList(choice)
          ? choice.map((name) => [name, 1])
          : Object.entries(choice),
  );
  for (const [name, weight] of weights) {
    if (!known.has(name))
      throw new LowrankError({
        code: 'patch.noAdapter',
        what: `the adapter ${name}`,
        expected:
          known.size === 0
            ? 'an adapter to be loaded into the bank'
            : `one of ${[...known.keys()].join(', ')}, or ${baseName}`,
        got: 'an unknown name',
      });
    if (!Number.isFinite(weight))
      throw new LowrankError({
        code: 'patch.bank',
        what: `the weight of the adapter ${name}`,
        expected: 'a finite number',
        got: String(weight),
      });
  }
  return weights;
}

function isList(choice: readonly string[] | Readonly<Record<string, number>>): choice is readonly string[] {
  return Array.isArray(choice);
}
