import { LowrankError } from '@lowrank/errors';

export interface NumberRule {
  readonly whole?: boolean;
  readonly min?: number;
  /** Exclusive lower bound. */
  readonly above?: number;
  /** Exclusive upper bound. */
  readonly below?: number;
  readonly most?: number;
}

/** A parser for one flag: text → number, or an error that names the flag, what it takes and what came. */
export function numberFlag(flag: string, rule: NumberRule = {}): (text: string) => number {
  return (text) => {
    // Number('') is 0, and Number('0x10') 16: neither is meant.
    const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text.trim()) ? Number(text) : NaN;
    if (Number.isFinite(value) && keeps(value, rule)) return value;
    throw new LowrankError({
      code: 'cli.number',
      what: flag,
      expected: describeRule(rule),
      got: text === '' ? 'nothing' : text,
    });
  };
}

function keeps(value: number, { whole = false, min, above, below, most }: NumberRule): boolean {
  if (whole && !Number.isSafeInteger(value)) return false;
  return (
    (min === undefined || value >= min) &&
    (above === undefined || value > above) &&
    (below === undefined || value < below) &&
    (most === undefined || value <= most)
  );
}

function describeRule({ whole = false, min, above, below, most }: NumberRule): string {
  const bounds = [
    ...(min === undefined ? [] : [`of at least ${min}`]),
    ...(above === undefined ? [] : [`above ${above}`]),
    ...(below === undefined ? [] : [`below ${below}`]),
    ...(most === undefined ? [] : [`of at most ${most}`]),
  ];
  return [whole ? 'a whole number' : 'a number', bounds.join(' and ')].filter((part) => part !== '').join(' ');
}

/** `a,b, c` → its names; an error where there is none. */
export function listFlag(flag: string): (text: string) => string[] {
  return (text) => {
    const names = text
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '');
    if (names.length > 0) return names;
    throw new LowrankError({
      code: 'cli.list',
      what: flag,
      expected: 'names with commas between them',
      got: text === '' ? 'nothing' : text,
    });
  };
}

/** One of a few words. */
export function choiceFlag<Choice extends string>(flag: string, choices: readonly Choice[]): (text: string) => Choice {
  return (text) => {
    const found = choices.find((choice) => choice === text);
    if (found !== undefined) return found;
    throw new LowrankError({
      code: 'cli.choice',
      what: flag,
      expected: choices.join(', '),
      got: text === '' ? 'nothing' : text,
    });
  };
}
