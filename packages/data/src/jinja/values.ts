import { Float } from './float.js';

export { Float };

/** Python's values as templates see them: whole numbers are JavaScript's, other numbers are {@link Float}. */
export type JinjaValue =
  | string
  | number
  | boolean
  | null
  | Undefined
  | Float
  | JinjaValue[]
  | Tuple
  | Dict
  | Lazy
  | Range
  | Callable
  | Namespace
  | Attributes;

export type Key = string | number | boolean | null;
export type Dict = Map<Key, JinjaValue>;

/** What Python raises while a template runs. */
export class TemplateError extends Error {}

/** A name that nothing was given for; using it further is an error that says so. */
export class Undefined {
  constructor(readonly message: string) {}

  fail(): never {
    throw new TemplateError(this.message);
  }
}

export class Tuple {
  constructor(readonly items: readonly JinjaValue[]) {}
}

/** A generator or a view: its items come once, and it has no length. */
export class Lazy {
  constructor(
    readonly name: string,
    readonly items: Iterator<JinjaValue>,
    /** Views of dictionaries have a length, and can be run through again. */
    readonly again?: () => JinjaValue[],
  ) {}
}

export class Range {
  readonly length: number;

  constructor(
    readonly start: number,
    readonly stop: number,
    readonly step: number,
  ) {
    this.length = Math.max(0, Math.ceil((stop - start) / step));
    // jinja2's sandbox has the same bound.
    if (this.length > 100_000) throw new TemplateError('Range too big. The sandbox blocks ranges larger than 100000.');
  }

  at(index: number): number {
    return this.start + index * this.step;
  }
}

export interface CallArguments {
  readonly positional: readonly JinjaValue[];
  readonly named: ReadonlyMap<string, JinjaValue>;
}

export class Callable {
  constructor(
    readonly name: string,
    readonly call: (args: CallArguments) => JinjaValue,
  ) {}
}

export class Namespace {
  readonly values = new Map<string, JinjaValue>();
}

/** An object with attributes alone: `loop`, and groups. */
export class Attributes {
  constructor(
    readonly name: string,
    readonly get: (attribute: string) => JinjaValue | undefined,
    readonly call?: (args: CallArguments) => JinjaValue,
  ) {}
}

/** What Python calls a value's type. */
export function typeName(value: JinjaValue): string {
  if (typeof value === 'string') return 'str';
  if (typeof value === 'number') return 'int';
  if (typeof value === 'boolean') return 'bool';
  if (value === null) return 'NoneType';
  if (value instanceof Float) return 'float';
  if (Array.isArray(value)) return 'list';
  if (value instanceof Map) return 'dict';
  if (value instanceof Tuple) return 'tuple';
  if (value instanceof Undefined) return 'Undefined';
  if (value instanceof Range) return 'range';
  if (value instanceof Lazy || value instanceof Attributes) return value.name;
  return value instanceof Namespace ? 'Namespace' : 'function';
}

/** JSON, and what looks like it, as values. @throws TemplateError for what Python has no equal of */
export function toValue(given: unknown): JinjaValue {
  if (given === null || typeof given === 'string' || typeof given === 'boolean') return given;
  if (given === undefined) return null;
  if (typeof given === 'number') return Number.isInteger(given) ? given : new Float(given);
  if (typeof given === 'bigint') return Number(given);
  if (isValueObject(given)) return given;
  if (Array.isArray(given)) return given.map(toValue);
  if (typeof given === 'object') {
    const dict: Dict = new Map();
    for (const key of Object.keys(given)) {
      const own = (given as Readonly<Record<string, unknown>>)[key];
      if (own !== undefined) dict.set(key, toValue(own));
    }
    return dict;
  }
  throw new TemplateError(`a ${typeof given} is no value of a template`);
}

function isValueObject(given: unknown): given is Float | Callable | Undefined | Dict {
  return given instanceof Float || given instanceof Callable || given instanceof Undefined || given instanceof Map;
}

export function isTrue(value: JinjaValue): boolean {
  if (value instanceof Undefined || value === null) return false;
  if (typeof value === 'string') return value !== '';
  if (typeof value === 'number') return value !== 0;
  if (typeof value === 'boolean') return value;
  if (value instanceof Float) return value.value !== 0;
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Tuple) return value.items.length > 0;
  if (value instanceof Map) return value.size > 0;
  if (value instanceof Range) return value.length > 0;
  if (value instanceof Lazy && value.again !== undefined) return value.again().length > 0;
  return true;
}

/** The number of a number; undefined for anything else. Python counts True as 1. */
export function numberOf(value: JinjaValue): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean') return value ? 1 : 0;
  return value instanceof Float ? value.value : undefined;
}

export function isEqual(one: JinjaValue, other: JinjaValue): boolean {
  const [left, right] = [numberOf(one), numberOf(other)];
  if (left !== undefined || right !== undefined) return left === right;
  if (Array.isArray(one)) return Array.isArray(other) && areEqual(one, other);
  if (one instanceof Tuple) return other instanceof Tuple && areEqual(one.items, other.items);
  if (one instanceof Map) {
    if (!(other instanceof Map) || one.size !== other.size) return false;
    for (const [key, value] of one) if (!other.has(key) || !isEqual(value, other.get(key) ?? null)) return false;
    return true;
  }
  if (one instanceof Undefined) return other instanceof Undefined;
  if (one instanceof Range) return other instanceof Range && areEqual(sequenceOf(one), sequenceOf(other));
  return one === other;
}

function areEqual(one: readonly JinjaValue[], other: readonly JinjaValue[]): boolean {
  return one.length === other.length && one.every((value, at) => isEqual(value, other[at] ?? null));
}

/** Items of a list, tuple or range, as an array. */
export function sequenceOf(value: JinjaValue[] | Tuple | Range): readonly JinjaValue[] {
  if (Array.isArray(value)) return value;
  if (value instanceof Tuple) return value.items;
  return Array.from({ length: value.length }, (_, at) => value.at(at));
}

/** -1, 0 or 1, as Python orders values. @throws TemplateError for what it does not compare */
export function compare(one: JinjaValue, other: JinjaValue, operator = '<'): number {
  const [left, right] = [numberOf(one), numberOf(other)];
  if (left !== undefined && right !== undefined) return Math.sign(left - right);
  if (typeof one === 'string' && typeof other === 'string') return compareTexts(one, other);
  const lists = [one, other].map((value) =>
    Array.isArray(value) ? value : value instanceof Tuple ? value.items : undefined,
  );
  const [items, others] = lists;
  if (items !== undefined && others !== undefined && Array.isArray(one) === Array.isArray(other)) {
    for (let at = 0; at < Math.min(items.length, others.length); at++) {
      const order = isEqual(items[at] ?? null, others[at] ?? null) ? 0 : compare(items[at] ?? null, others[at] ?? null);
      if (order !== 0) return order;
    }
    return Math.sign(items.length - others.length);
  }
  for (const value of [one, other]) if (value instanceof Undefined) value.fail();
  throw new TemplateError(
    `'${operator}' not supported between instances of '${typeName(one)}' and '${typeName(other)}'`,
  );
}

/** By code points; JavaScript orders by UTF-16 units. */
function compareTexts(one: string, other: string): number {
  if (one === other) return 0;
  let at = 0;
  while (at < one.length && one.charCodeAt(at) === other.charCodeAt(at)) at++;
  if (at > 0 && (one.charCodeAt(at - 1) & 0xfc00) === 0xd800) at--;
  return (one.codePointAt(at) ?? -1) < (other.codePointAt(at) ?? -1) ? -1 : 1;
}

/** The key of a dictionary that a value is. */
export function keyOf(value: JinjaValue): Key {
  if (value === null || typeof value === 'string' || typeof value === 'number') return value;
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (value instanceof Float && Number.isInteger(value.value)) return value.value;
  if (Array.isArray(value) || value instanceof Map) throw new TemplateError(`unhashable type: '${typeName(value)}'`);
  throw new TemplateError(`a ${typeName(value)} as a key is not known here`);
}
