import { LowrankError } from '@lowrank/errors';
import { adamw } from './adamw.js';
import { adamw8bit } from './adamw8bit.js';
import { lion } from './lion.js';
import { muon } from './muon.js';
import type { Optimizer, OptimizerNumbers } from './optimizer.js';
import { sgd } from './sgd.js';

/** Every optimizer, by its name: one line here, one file beside. */
const registry = { adamw, adamw8bit, lion, sgd, muon } as const satisfies Readonly<Record<string, Optimizer>>;

/** An optimizer by its name, as `--optimizer` takes it. */
export type OptimizerName = keyof typeof registry;

/** The optimizers, in the order in which help lists them. */
export const optimizers = Object.keys(registry) as readonly OptimizerName[] as readonly [
  OptimizerName,
  ...OptimizerName[],
];

export function optimizerNamed(name: OptimizerName): Optimizer {
  return registry[name];
}

const bounds: {
  readonly [Name in keyof OptimizerNumbers]-?: {
    readonly isGood: (value: number) => boolean;
    readonly expected: string;
  };
} = {
  beta1: { isGood: isShare, expected: 'a number of at least 0 and below 1' },
  beta2: { isGood: isShare, expected: 'a number of at least 0 and below 1' },
  epsilon: { isGood: (value) => value > 0, expected: 'a number above 0' },
  momentum: { isGood: isShare, expected: 'a number of at least 0 and below 1' },
  nesterov: { isGood: () => true, expected: 'true or false' },
};

/**
 * Checks an optimizer's numbers: their bounds, and that it takes them.
 *
 * @throws LowrankError `trainer.option`
 */
export function checkOptimizer(name: OptimizerName, numbers: OptimizerNumbers): void {
  if (!Object.hasOwn(registry, name))
    throw new LowrankError({
      code: 'trainer.option',
      what: 'optimizer',
      expected: optimizers.join(', '),
      got: String(name),
    });
  const { defaults } = optimizerNamed(name);
  for (const [key, { isGood, expected }] of Object.entries(bounds)) {
    const value = numbers[key as keyof OptimizerNumbers];
    if (value === undefined) continue;
    if (!Object.hasOwn(defaults, key))
      throw new LowrankError({
        code: 'trainer.option',
        what: (names) => `${names(key)} with ${names('optimizer', name)}`,
        expected: 'one of the two',
        got: 'both',
        remedy: (names) =>
          `${name} takes ${Object.keys(defaults)
            .map((each) => names(each))
            .join(', ')}; leave ${names(key)} out, or ` + `use another optimizer.`,
        setting: key,
      });
    if (!isGood(Number(value)))
      throw new LowrankError({ code: 'trainer.option', what: (names) => names(key), expected, got: String(value) });
  }
}

function isShare(value: number): boolean {
  return value >= 0 && value < 1;
}
