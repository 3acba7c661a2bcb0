import { bind } from './arguments.js';
import { compares, contains } from './operators.js';
import type { Host } from './methods.js';
import {
  Callable,
  Float,
  isEqual,
  keyOf,
  Lazy,
  numberOf,
  Range,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
} from './values.js';
import type { CallArguments, JinjaValue } from './values.js';
import { filters } from './filters.js';
import { textOf } from './texts.js';

type Test = (value: JinjaValue, args: CallArguments, host: Host) => boolean;

const one = (name: string, args: CallArguments): JinjaValue => bind(name, args, 'other').get('other') ?? null;
const order =
  (op: string): Test =>
  (value, args, { budget }) =>
    compares(op, value, one(op, args), budget);
const whole = (value: JinjaValue): number => {
  const number = numberOf(value);
  if (value instanceof Undefined) value.fail();
  if (number === undefined) throw new TemplateError(`not all arguments converted: ${typeName(value)} is no number`);
  return number;
};
const rest = (value: number, by: number): number => ((value % by) + by) % by;

/** jinja2's tests. */
export const tests: Readonly<Record<string, Test>> = {
  defined: (value) => !(value instanceof Undefined),
  undefined: (value) => value instanceof Undefined,
  none: (value) => value === null,
  string: (value) => typeof value === 'string',
  number: (value) => numberOf(value) !== undefined,
  integer: (value) => typeof value === 'number',
  float: (value) => value instanceof Float,
  boolean: (value) => typeof value === 'boolean',
  true: (value) => value === true,
  false: (value) => value === false,
  mapping: (value) => value instanceof Map,
  sequence: (value) =>
    typeof value === 'string' ||
    Array.isArray(value) ||
    value instanceof Map ||
    value instanceof Tuple ||
    value instanceof Range ||
    value instanceof Undefined,
  iterable: (value) =>
    typeof value === 'string' ||
    Array.isArray(value) ||
    value instanceof Map ||
    value instanceof Tuple ||
    value instanceof Range ||
    value instanceof Lazy ||
    value instanceof Undefined,
  callable: (value) => value instanceof Callable || value instanceof Undefined,
  odd: (value) => rest(whole(value), 2) === 1,
  even: (value) => rest(whole(value), 2) === 0,
  divisibleby: (value, args) => rest(whole(value), whole(one('divisibleby', args))) === 0,
  lower: (value) => textOf(value) === textOf(value).toLowerCase() && hasCase(textOf(value)),
  upper: (value) => textOf(value) === textOf(value).toUpperCase() && hasCase(textOf(value)),
  escaped: () => false,
  sameas(value, args) {
    const other = one('sameas', args);
    return (
      typeName(value) === typeName(other) && (value === other || (value instanceof Float && isEqual(value, other)))
    );
  },
  in: (value, args, { budget }) => contains(bind('in', args, 'seq').get('seq') ?? null, value, budget),
  eq: order('=='),
  equalto: order('=='),
  '==': order('=='),
  ne: order('!='),
  '!=': order('!='),
  lt: order('<'),
  lessthan: order('<'),
  '<': order('<'),
  le: order('<='),
  '<=': order('<='),
  gt: order('>'),
  greaterthan: order('>'),
  '>': order('>'),
  ge: order('>='),
  '>=': order('>='),
  filter: (value) => Object.hasOwn(filters, String(keyOf(value))),
  test: (value) => Object.hasOwn(tests, String(keyOf(value))),
};

/** Tests that are given something. */
export const testsWithArguments: ReadonlySet<string> = new Set(
  'divisibleby sameas in eq equalto == ne != lt lessthan < le <= gt greaterthan > ge >='.split(' '),
);

function hasCase(text: string): boolean {
  return text.toLowerCase() !== text.toUpperCase();
}
