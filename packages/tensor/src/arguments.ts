import { LowrankError } from '@lowrank/errors';

/**
 * What plain JavaScript gets wrong without a type checker: an argument of another kind. Each public function declares
 * its parameters once with `signature` and checks its arguments when it is called, which is while a graph is traced,
 * never while a plan runs.
 */
export interface ArgumentKind {
  /** What a caller may pass, as it stands in an error: 'a Tensor'. */
  readonly expected: string;
  /** How the parameter is written in a call, if not by its name: '{ axis, keepDims }'. */
  readonly usage?: string;
  readonly accepts: (value: unknown) => boolean;
  /** For options: what is wrong with one of them. */
  problemOf?(value: object): { readonly option: string; readonly expected: string; readonly got: string } | undefined;
}

/** A kind of argument: what errors say was expected, and what is accepted. */
/* @__NO_SIDE_EFFECTS__ */
export function kind(expected: string, accepts: (value: unknown) => boolean): ArgumentKind {
  return { expected, accepts };
}

const isIntegers = (value: unknown): boolean => Array.isArray(value) && value.every((item) => Number.isInteger(item));
const isSizes = (value: unknown): boolean => isIntegers(value) && (value as number[]).every((size) => size >= 0);

/** An argument that is a number, NaN and infinity included. */
export const aNumber = /* @__PURE__ */ kind('a number', (value) => typeof value === 'number');
/** An argument that is a whole number. */
export const anInteger = /* @__PURE__ */ kind('an integer', Number.isInteger);
/** An argument that is true or false. */
export const aBoolean = /* @__PURE__ */ kind('true or false', (value) => typeof value === 'boolean');
export const aString = /* @__PURE__ */ kind('a string', (value) => typeof value === 'string');
/** An argument that is a function. */
export const aFunction = /* @__PURE__ */ kind('a function', (value) => typeof value === 'function');
export const aShape = /* @__PURE__ */ kind('a shape, as [2, 3]', isSizes);
export const integers = /* @__PURE__ */ kind('an array of integers', isIntegers);
export const anAxis = /* @__PURE__ */ kind(
  'an axis, as -1, or several, as [0, 1]',
  (value) => Number.isInteger(value) || isIntegers(value),
);

/* @__NO_SIDE_EFFECTS__ */
export function oneOf(...values: readonly string[]): ArgumentKind {
  return kind(`one of ${values.join(', ')}`, (value) => values.includes(value as string));
}

/** An argument that is an array of one kind. */
/* @__NO_SIDE_EFFECTS__ */
export function listOf(item: ArgumentKind): ArgumentKind {
  return kind(`an array, each of it ${item.expected}`, (value) => Array.isArray(value) && value.every(item.accepts));
}

/** A parameter that may be left out. */
/* @__NO_SIDE_EFFECTS__ */
export function optional(of: ArgumentKind): ArgumentKind {
  return { ...of, accepts: (value) => value === undefined || of.accepts(value) };
}

/**
 * An object of options by name, each of which may be left out if it is not among `required`. An unknown one is an
 * error.
 */
/* @__NO_SIDE_EFFECTS__ */
export function options(
  fields: Readonly<Record<string, ArgumentKind>>,
  { required = [] }: { required?: readonly string[] } = {},
): ArgumentKind {
  const usage = `{ ${Object.keys(fields).join(', ')} }`;
  return {
    expected: `options ${usage}`,
    usage,
    accepts: (value) =>
      value === undefined
        ? required.length === 0
        : typeof value === 'object' && value !== null && !Array.isArray(value),
    problemOf(value) {
      const given = { ...Object.fromEntries(required.map((name) => [name, undefined])), ...value };
      for (const [option, item] of Object.entries(given)) {
        const field = fields[option];
        if (field === undefined) return { option, expected: `one of ${Object.keys(fields).join(', ')}`, got: option };
        if (item === undefined && !required.includes(option)) continue;
        if (!field.accepts(item)) return { option, expected: field.expected, got: shown(item) };
      }
      return undefined;
    },
  };
}

/** Throws for the first argument that its parameter does not take. */
export type ArgumentCheck = (...values: readonly unknown[]) => void;

/**
 * The parameters of a function, in their order, as a check of its arguments.
 *
 * @returns a check that throws LowrankError `tensor.argument`, naming the function and the argument
 */
/* @__NO_SIDE_EFFECTS__ */
export function signature(fn: string, parameters: Readonly<Record<string, ArgumentKind>>): ArgumentCheck {
  const entries = Object.entries(parameters);
  const remedy = `Call it as ${fn}(${entries.map(([name, { usage }]) => usage ?? name).join(', ')}).`;
  const fail = (what: string, expected: string, got: string): never => {
    throw new LowrankError({ code: 'tensor.argument', what: `${what} of ${fn}`, expected, got, remedy });
  };
  return (...values) => {
    for (const [at, [name, parameter]] of entries.entries()) {
      const value = values[at];
      if (!parameter.accepts(value)) fail(`the argument ${name}`, parameter.expected, shown(value));
      if (parameter.problemOf === undefined || value === undefined) continue;
      const problem = parameter.problemOf(value as object);
      if (problem !== undefined) fail(`the option ${problem.option}`, problem.expected, problem.got);
    }
  };
}

/** A value in the words of an error: short, and by its class where it has one. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  if (typeof value === 'function') return `the function ${value.name}`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value !== 'object' || value === null) return String(value);
  const { name } = value.constructor ?? Object;
  return name === 'Object' ? `an object { ${Object.keys(value).join(', ')} }` : `a ${name}`;
}
