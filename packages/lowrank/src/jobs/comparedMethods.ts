import { LowrankError } from '@lowrank/errors';
import type { MethodFlags } from './trainMethod.js';
import type { VariantFlags } from './variantFlags.js';
import type { FineTuneTraining } from './fineTuneTraining.js';

/** What can be compared: the methods of `fineTune`, and `qlora`, which is LoRA over 4-bit codes. */
export const comparedMethods = ['full', 'bitfit', 'prompt', 'prefix', 'adapter', 'lora', 'qlora'] as const;
export type ComparedMethodName = (typeof comparedMethods)[number];

/** Learning rates that are tried where none are given: what suits a method depends on how much it moves. */
export const defaultRates: Readonly<Record<ComparedMethodName, readonly number[]>> = {
  full: [1e-4, 3e-4, 1e-3],
  bitfit: [1e-3, 3e-3, 1e-2],
  prompt: [1e-2, 3e-2, 1e-1],
  prefix: [3e-3, 1e-2, 3e-2],
  adapter: [3e-4, 1e-3, 3e-3],
  lora: [3e-4, 1e-3, 3e-3],
  qlora: [3e-4, 1e-3, 3e-3],
};

/** Options that say what LoRA's adapters are; all of them, or this does not compile. */
const loraKeys: Readonly<
  Record<keyof VariantFlags | 'r' | 'alpha' | 'dropout' | 'targetModules' | 'initAdapter', true>
> = {
  r: true,
  alpha: true,
  dropout: true,
  targetModules: true,
  initAdapter: true,
  initLoraWeights: true,
  useRslora: true,
  useDora: true,
  loraBias: true,
  bias: true,
  rankPattern: true,
  alphaPattern: true,
  excludeModules: true,
  layersToTransform: true,
  modulesToSave: true,
  trainableTokens: true,
  ensureWeightTying: true,
  loraPlusRatio: true,
  evaRho: true,
  evaBatches: true,
};

/** Options of the other methods, and whose they are. */
const methodKeys: Readonly<Record<keyof MethodFlags, readonly ComparedMethodName[]>> = {
  virtualTokens: ['prompt', 'prefix'],
  virtualInit: ['prompt', 'prefix'],
  promptInitText: ['prompt'],
  bottleneck: ['adapter'],
};

/** The options of one method, out of those of all: what is meant for others is left out. */
export function trainingOf(
  method: ComparedMethodName,
  { quantization = 'nf4', doubleQuantization = quantization !== 'int8', ...training }: FineTuneTraining,
): FineTuneTraining {
  const isLora = method === 'lora' || method === 'qlora';
  const isMine = (key: string): boolean => {
    if (key in loraKeys) return isLora;
    return !(key in methodKeys) || methodKeys[key as keyof MethodFlags].includes(method);
  };
  const own = Object.fromEntries(
    Object.entries(training).filter(([key, value]) => value !== undefined && isMine(key)),
  ) as unknown as FineTuneTraining;
  if (method === 'qlora') return { ...own, method: 'lora', quantization, doubleQuantization };
  // What one of the two can begin as, the other cannot; and LoftQ makes up for quantization.
  const { virtualInit, initLoraWeights, ...others } = own;
  const begins =
    virtualInit === undefined || virtualInit === (method === 'prompt' ? 'zero' : 'vocab') ? {} : { virtualInit };
  return {
    ...others,
    ...begins,
    ...(initLoraWeights === undefined || initLoraWeights === 'loftq' ? {} : { initLoraWeights }),
    method,
  };
}

/**
 * What is given has to be of one of the methods at least: what none of them takes would be left aside without a word.
 *
 * @throws LowrankError `cli.conflict`
 */
export function checkOptions(methods: readonly ComparedMethodName[], training: FineTuneTraining): void {
  const { quantization, doubleQuantization, virtualInit, initLoraWeights, ...others } = training;
  const flagOf = (key: string): string => `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  const owned: [flag: string, value: unknown, owners: readonly ComparedMethodName[]][] = [
    ['--quantization', quantization, ['qlora']],
    ['--double-quantization', doubleQuantization, ['qlora']],
    [
      `--virtual-init ${virtualInit}`,
      virtualInit,
      virtualInit === 'vocab' ? ['prompt'] : virtualInit === 'zero' ? ['prefix'] : methodKeys.virtualInit,
    ],
    [
      `--init-lora-weights ${initLoraWeights}`,
      initLoraWeights,
      initLoraWeights === 'loftq' ? ['qlora'] : ['lora', 'qlora'],
    ],
    ...Object.entries(others).map(([key, value]): (typeof owned)[number] => [
      flagOf(key),
      value,
      key in loraKeys ? ['lora', 'qlora'] : key in methodKeys ? methodKeys[key as keyof MethodFlags] : comparedMethods,
    ]),
  ];
  const strange = owned.find(
    ([, value, owners]) => value !== undefined && !owners.some((owner) => methods.includes(owner)),
  );
  if (strange === undefined) return;
  const [flag, , owners] = strange;
  throw new LowrankError({
    code: 'cli.conflict',
    what: `${flag} in a comparison of ${methods.join(', ')}`,
    expected: `${owners.join(' or ')} among the methods`,
    got: 'none that takes it',
    remedy: 'Leave the flag out, or compare that method too.',
  });
}
