import { LowrankError } from '@lowrank/errors';
import type { Schema } from '@lowrank/settings';
import { accepts, describeSchema, number } from '@lowrank/settings';

/** A parser for one flag: text → number, or an error that names the flag, what it takes and what came. */
export function numberFlag(flag: string, schema: Schema = number()): (text: string) => number {
  return (text) => {
    // Number('') is 0, and Number('0x10') 16: neither is meant.
    const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text.trim()) ? Number(text) : NaN;
    if (Number.isFinite(value) && accepts({ schema }, value)) return value;
    throw new LowrankError({
      code: 'cli.number',
      what: flag,
      expected: describeSchema(schema),
      got: text === '' ? 'nothing' : text,
    });
  };
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

/** A JSON object of numbers by name. */
export function patternFlag(flag: string): (text: string) => Record<string, number> {
  return (text) => {
    const value = parsed(text);
    const fits =
      typeof value === 'object' &&
      value !== null &&
      !Array.isArray(value) &&
      Object.values(value).every((item) => typeof item === 'number');
    if (fits) return value as Record<string, number>;
    throw new LowrankError({
      code: 'cli.pattern',
      what: flag,
      expected: 'a JSON object of numbers by name, such as {"down_proj": 16}',
      got: text === '' ? 'nothing' : text,
    });
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
