import { LowrankError } from '@lowrank/errors';
import type { ContenderName } from '@lowrank/methods';
import { contenderNamed, contenderNames, lora, methodNamed } from '@lowrank/methods';
import { quantizationSettings } from '@lowrank/quant';
import type { SettingTable } from '@lowrank/settings';
import { givenOf } from '@lowrank/settings';
import { ownersOf, settingIn, takes } from '../settings/methodTables.js';
import { resumeSettings } from '../settings/runSettings.js';
import type { FineTuneTraining } from './fineTuneTraining.js';

export type ComparedMethodName = ContenderName;

/** What can be compared, LoRA last: what the others are compared with. */
export const comparedMethods: readonly ComparedMethodName[] = [...contenderNames].sort(
  (a, b) => Number(contenderNamed(a).method === lora.name) - Number(contenderNamed(b).method === lora.name),
);

/** The settings that each takes: `qlora` is LoRA over codes, and an adapter to go on from is LoRA's. */
const tables = Object.fromEntries(
  comparedMethods.map((name) => {
    const { method, overCodes } = contenderNamed(name);
    const own: SettingTable[] = [...methodNamed(method).settings];
    if (method === lora.name) own.push(resumeSettings);
    return [name, overCodes ? [...own, quantizationSettings] : own];
  }),
) as unknown as Readonly<Record<ComparedMethodName, readonly SettingTable[]>>;

/** Every option that some of the methods take and others do not. */
const owned: readonly SettingTable[] = [...new Set(Object.values(tables).flat())];

/** Learning rates that are tried where none are given: what suits a method depends on how much it moves. */
export const defaultRates = Object.fromEntries(
  comparedMethods.map((name) => [name, methodNamed(contenderNamed(name).method).learningRates ?? []]),
) as unknown as Readonly<Record<ComparedMethodName, readonly number[]>>;

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
  const { method: trained, overCodes } = contenderNamed(method);
  return { ...own, method: trained, ...(overCodes ? { quantization, doubleQuantization } : {}) };
}

/**
 * Refuses options that none of the methods takes, which would otherwise have no effect.
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
      got: 'none that takes the option',
      remedy: (names) => `Leave ${names(given)} out, or compare that method too.`,
      setting: given,
    });
  }
}
