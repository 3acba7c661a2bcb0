import type { Budget } from './budget.js';
import { percentFormat } from './texts.js';
import {
  compare,
  Float,
  isEqual,
  keyOf,
  Lazy,
  numberOf,
  Range,
  sequenceOf,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
} from './values.js';
import type { JinjaValue } from './values.js';

/** `left op right` of two numbers, texts or lists. @throws TemplateError what Python raises */
export function binary(op: string, left: JinjaValue, right: JinjaValue, budget: Budget): JinjaValue {
  for (const value of [left, right])
    if (value instanceof Undefined && !(op === '%' && typeof left === 'string')) value.fail();
  if (op === '%' && typeof left === 'string') {
    const text = percentFormat(left, right);
    budget.write(text.length);
    return text;
  }
  const [one, other] = [numberOf(left), numberOf(right)];
  if (one !== undefined && other !== undefined) {
    const isFloat = left instanceof Float || right instanceof Float || op === '/';
    return arithmetic(op, { one, other, isFloat: isFloat || (op === '**' && other < 0) });
  }
  const joined = op === '+' ? join(left, right, budget) : op === '*' ? repeat(left, right, budget) : undefined;
  if (joined !== undefined) return joined;
  throw new TemplateError(`unsupported operand type(s) for ${op}: '${typeName(left)}' and '${typeName(right)}'`);
}

function arithmetic(op: string, { one, other, isFloat }: { one: number; other: number; isFloat: boolean }): JinjaValue {
  if (other === 0 && (op === '/' || op === '//' || op === '%')) throw new TemplateError('division by zero');
  const result = operations[op]?.(one, other);
  if (result === undefined) throw new TemplateError(`the operator ${op} is not known here`);
  if (isFloat) return new Float(result);
  if (Number.isSafeInteger(result)) return result === 0 ? 0 : result;
  throw new TemplateError('whole numbers beyond 2^53 are not known here');
}

const operations: Readonly<Record<string, (one: number, other: number) => number>> = {
  '+': (one, other) => one + other,
  '-': (one, other) => one - other,
  '*': (one, other) => one * other,
  '/': (one, other) => one / other,
  '//': (one, other) => Math.floor(one / other),
  // Python's remainder has the sign of the divisor.
  '%': (one, other) => {
    const rest = one % other;
    return rest !== 0 && rest < 0 !== other < 0 ? rest + other : rest;
  },
  '**': (one, other) => one ** other,
};

function join(left: JinjaValue, right: JinjaValue, budget: Budget): JinjaValue | undefined {
  if (typeof left === 'string' && typeof right === 'string') {
    budget.write(left.length + right.length);
    return left + right;
  }
  if (Array.isArray(left) && Array.isArray(right)) {
    budget.spend(left.length + right.length);
    return [...left, ...right];
  }
  if (left instanceof Tuple && right instanceof Tuple) return new Tuple([...left.items, ...right.items]);
  if (typeof left === 'string') throw new TemplateError(`can only concatenate str (not "${typeName(right)}") to str`);
  return undefined;
}

function repeat(left: JinjaValue, right: JinjaValue, budget: Budget): JinjaValue | undefined {
  const [value, times] = typeof left === 'number' || typeof left === 'boolean' ? [right, left] : [left, right];
  if (typeof times !== 'number' && typeof times !== 'boolean') return undefined;
  const count = Math.max(0, Number(times));
  if (typeof value === 'string') {
    budget.write(value.length * count);
    return value.repeat(count);
  }
  if (!Array.isArray(value) && !(value instanceof Tuple)) return undefined;
  const items = Array.isArray(value) ? value : value.items;
  budget.spend(items.length * count);
  const repeated = Array.from({ length: count }, () => items).flat();
  return Array.isArray(value) ? repeated : new Tuple(repeated);
}

/** One comparison of a chain. */
export function compares(op: string, left: JinjaValue, right: JinjaValue, budget: Budget): boolean {
  budget.spend();
  if (op === '==') return isEqual(left, right);
  if (op === '!=') return !isEqual(left, right);
  if (op === 'in') return contains(right, left, budget);
  if (op === 'not in') return !contains(right, left, budget);
  const order = compare(left, right, op);
  if (op === '<') return order < 0;
  if (op === '<=') return order <= 0;
  return op === '>' ? order > 0 : order >= 0;
}

export function contains(container: JinjaValue, item: JinjaValue, budget: Budget): boolean {
  if (typeof container === 'string') {
    if (typeof item === 'string') return container.includes(item);
    if (item instanceof Undefined) item.fail();
    throw new TemplateError(`'in <string>' requires string as left operand, not ${typeName(item)}`);
  }
  if (container instanceof Map) return !(item instanceof Undefined) && container.has(keyOf(item));
  if (container instanceof Undefined) return false;
  if (Array.isArray(container) || container instanceof Tuple || container instanceof Range) {
    const items = sequenceOf(container);
    budget.spend(items.length);
    return items.some((each) => isEqual(each, item));
  }
  if (container instanceof Lazy) {
    if (container.again !== undefined) return container.again().some((each) => isEqual(each, item));
    for (let next = container.items.next(); next.done !== true; next = container.items.next())
      if (isEqual(next.value, item)) return true;
    return false;
  }
  throw new TemplateError(`argument of type '${typeName(container)}' is not iterable`);
}

export function negative(value: JinjaValue): JinjaValue {
  if (value instanceof Undefined) value.fail();
  if (value instanceof Float) return new Float(-value.value);
  const number = numberOf(value);
  if (number === undefined) throw new TemplateError(`bad operand type for unary -: '${typeName(value)}'`);
  return number === 0 ? 0 : -number;
}
