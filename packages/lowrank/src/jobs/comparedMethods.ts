import { LowrankError } from '@lowrank/errors';
import { loraSettings } from '@lowrank/lora';
import { bitfitSettings, bottleneckSettings, prefixSettings, promptSettings } from '@lowrank/methods';
import { quantizationSettings } from '@lowrank/quant';
import type { SettingTable } from '@lowrank/settings';
import { givenOf } from '@lowrank/settings';
import { ownersOf, settingIn, takes } from '../settings/methodTables.js';
import { loraRunSettings, resumeSettings } from '../settings/runSettings.js';
import type { FineTuneTraining } from './fineTuneTraining.js';

const loraTables = [loraSettings, loraRunSettings, resumeSettings] as const;

/**
 * What can be compared, with the settings that each takes: the methods of `fineTune`, and `qlora`, which is LoRA over
 * 4-bit codes.
 */
const tables = {
  full: [],
  bitfit: [bitfitSettings],
  prompt: [promptSettings],
  prefix: [prefixSettings],
  adapter: [bottleneckSettings],
  lora: loraTables,
  qlora: [...loraTables, quantizationSettings],
} as const satisfies Readonly<Record<string, readonly SettingTable[]>>;

export type ComparedMethodName = keyof typeof tables;
export const comparedMethods = Object.keys(tables) as readonly ComparedMethodName[];

/** Every option that some of the methods take and others do not. */
const owned: readonly SettingTable[] = [...new Set(Object.values(tables).flat())];

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

/** The options of one method, out of those of all: what is meant for others is left out. */
export function trainingOf(
  method: ComparedMethodName,
  { quantization = 'nf4', doubleQuantization = quantization !== 'int8', ...training }: FineTuneTraining,
): FineTuneTraining {
  const isMine = (name: string, value: unknown): boolean =>
    settingIn(owned, name) === undefined || takes(tables[method], name, value);
  const own = Object.fromEntries(
    Object.entries(training).filter(([name, value]) => value !== undefined && isMine(name, value)),
  ) as unknown as FineTuneTraining;
  return method === 'qlora' ? { ...own, method: 'lora', quantization, doubleQuantization } : { ...own, method };
}

/**
 * What is given has to be of one of the methods at least: what none of them takes would be left aside without a word.
 *
 * @throws LowrankError `cli.conflict`
 */
export function checkComparison(methods: readonly ComparedMethodName[], training: FineTuneTraining): void {
  for (const [given, value] of owned.flatMap(({ settings }) => givenOf(settings, training))) {
    const [name = given] = given.split('.');
    const owners = ownersOf(tables, name, value);
    if (owners.some((owner) => methods.some((method) => method === owner))) continue;
    // A value is named where it is what others would not take.
    const shown = owners.length < ownersOf(tables, name).length ? String(value) : undefined;
    throw new LowrankError({
      code: 'cli.conflict',
      what: (names) => `${names(given, shown)} in a comparison of ${methods.join(', ')}`,
      expected: `${owners.join(' or ')} among the methods`,
      got: 'none that takes it',
      remedy: (names) => `Leave ${names(given)} out, or compare that method too.`,
      setting: given,
    });
  }
}
