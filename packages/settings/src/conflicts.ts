import type { SettingNames } from '@lowrank/errors';
import { LowrankError, shown } from '@lowrank/errors';
import type { Exclusion, Requirement, Setting, Settings, SettingTable } from './setting.js';

type Options = Readonly<Record<string, unknown>>;

/** Whether an option says anything: a switch that is off does not. */
export function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null && value !== false;
}

/**
 * Checks what goes with what: the `excludes` and `requires` of every setting that is given.
 *
 * @param given what was given
 * @param all what else there is: defaults, and options of other tables. A rule about a setting that is neither
 * there nor in the table is left to whoever knows that setting.
 * @throws LowrankError with `code`
 */
export function checkRules(
  { settings, code }: Pick<SettingTable, 'settings' | 'code'>,
  given: object,
  all: object = given,
): void {
  checkExclusions({ settings, code }, given, all);
  checkRequirements({ settings, code }, given, all);
}

type Checked = Pick<SettingTable, 'settings' | 'code'>;

/** The `excludes` of every setting that is given. @throws LowrankError with `code` */
export function checkExclusions({ settings, code }: Checked, given: object, all: object = given): void {
  for (const [name, value, setting] of givenOf(settings, given))
    for (const rule of setting.excludes ?? []) checkExclusion(code, { name, value, rule, all });
}

/** The `requires` of every setting that is given. @throws LowrankError with `code` */
export function checkRequirements({ settings, code }: Checked, given: object, all: object = given): void {
  for (const [name, value, setting] of givenOf(settings, given))
    for (const rule of setting.requires ?? [])
      if (Object.hasOwn(settings, rule.setting) || Object.hasOwn(all, rule.setting))
        checkRequirement(code, { name, value, rule, all });
}

/** The settings that are given; one with settings within goes by the first of these. */
export function givenOf(settings: Settings, given: object): [name: string, value: unknown, setting: Setting][] {
  return Object.entries(settings).flatMap(([name, setting]): [string, unknown, Setting][] => {
    const value = (given as Options)[name];
    if (!isGiven(value)) return [];
    if (setting.fields === undefined) return [[name, value, setting]];
    const [inner] = Object.entries(value as Options).find(([, within]) => within !== undefined) ?? [];
    return [[inner === undefined ? name : `${name}.${inner}`, value, setting]];
  });
}

interface Applied<Rule> {
  readonly name: string;
  readonly value: unknown;
  readonly rule: Rule;
  readonly all: object;
}

const always = (): boolean => true;

function checkExclusion(code: string, { name, value, rule, all }: Applied<Exclusion>): void {
  const { setting: other, when = always, is = always, remedy } = rule;
  const beside = (all as Options)[other];
  if (!when(value) || !isGiven(beside) || !is(beside)) return;
  const named = (names: SettingNames): string =>
    `${names(name, rule.when && nameOf(value))} with ${names(other, rule.is && nameOf(beside))}`;
  throw new LowrankError({ code, what: named, expected: 'one of the two', got: 'both', remedy, setting: name });
}

function checkRequirement(code: string, { name, value, rule, all }: Applied<Requirement>): void {
  const { setting: other, when = always, is = always, values, remedy } = rule;
  const beside = (all as Options)[other];
  if (!when(value) || (isGiven(beside) && is(beside))) return;
  throw new LowrankError({
    code,
    what: (names) => names(name, rule.when && nameOf(value)),
    expected: (names) => `${names(other, values)} with it`,
    got: isGiven(beside) ? nameOf(beside) : (names) => `no ${names(other)}`,
    remedy,
    setting: name,
  });
}

/** A value in a sentence: a word, or the name of an object that has one. */
function nameOf(value: unknown): string {
  if (typeof value === 'object' && value !== null && 'name' in value) return String(value.name);
  return typeof value === 'string' ? value : shown(value);
}

/** Words as a sentence lists them: 'a, b or c'. */
export function anyOf(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}
