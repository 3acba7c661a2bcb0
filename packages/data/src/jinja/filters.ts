import { bind, textArgument, wholeArgument } from './arguments.js';
import { checkedWidth } from './budget.js';
import { collectionFilters } from './collectionFilters.js';
import { filterHost } from './filterHost.js';
import type { Filter } from './filterHost.js';
import * as python from './pythonText.js';
import { jsonText, percentFormat, textOf } from './texts.js';
import {
  Float,
  isTrue,
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

const ofText =
  (change: (text: string) => JinjaValue): Filter =>
  (value) =>
    change(textOf(value));

const textFilters: Readonly<Record<string, Filter>> = {
  upper: ofText((text) => text.toUpperCase()),
  lower: ofText((text) => text.toLowerCase()),
  capitalize: ofText(python.capitalize),
  string: ofText((text) => text),
  title: ofText((text) =>
    text
      .split(/([-\s({[<]+)/u)
      .map((word) => {
        const [first = '', ...rest] = python.points(word);
        return first.toUpperCase() + rest.join('').toLowerCase();
      })
      .join(''),
  ),
  trim(value, args) {
    const characters = bind('trim', args, 'chars?').get('chars') ?? null;
    return python.strip(textOf(value), 'both', characters === null ? undefined : textArgument('trim', characters));
  },
  wordcount: ofText((text) => text.match(/[\p{L}\p{N}_]+/gu)?.length ?? 0),
  center(value, args, { budget }) {
    const width = wholeArgument('center', bind('center', args, 'width?').get('width'), 80);
    budget.write(Math.max(0, width));
    return python.center(textOf(value), width);
  },
  replace(value, args, { budget }) {
    const bound = bind('replace', args, 'old', 'new', 'count?');
    const [old, by] = [textOf(bound.get('old') ?? null), textOf(bound.get('new') ?? null)];
    const text = textOf(value);
    budget.write(text.length + python.count(text, old) * by.length);
    const count = bound.get('count') ?? null;
    return python.replace(text, old, by, count === null ? -1 : wholeArgument('replace', count));
  },
  indent(value, args, { budget }) {
    const bound = bind('indent', args, 'width?', 'first?', 'blank?');
    const width = bound.get('width') ?? 4;
    const indent = typeof width === 'string' ? width : ' '.repeat(checkedWidth(wholeArgument('indent', width)));
    if (value instanceof Undefined) value.fail();
    const lines = python.splitLines(`${textArgument('indent', value)}\n`);
    budget.write(textOf(value).length + lines.length * indent.length);
    const isBlankToo = isTrue(bound.get('blank') ?? false);
    const text = lines.map((line, at) => (at > 0 && (isBlankToo || line !== '') ? indent + line : line)).join('\n');
    return isTrue(bound.get('first') ?? false) ? indent + text : text;
  },
  truncate(value, args) {
    const bound = bind('truncate', args, 'length?', 'killwords?', 'end?', 'leeway?');
    const [length, leeway] = [
      wholeArgument('truncate', bound.get('length'), 255),
      wholeArgument('truncate', bound.get('leeway') ?? undefined, 5),
    ];
    const end = textArgument('truncate', bound.get('end') ?? '...');
    if (length < python.lengthOf(end))
      throw new TemplateError(`expected length >= ${python.lengthOf(end)}, got ${length}`);
    if (Number(lengthOf(value)) <= length + leeway) return value;
    const letters = python.points(textArgument('truncate', value));
    const kept = letters.slice(0, length - python.lengthOf(end)).join('');
    return (isTrue(bound.get('killwords') ?? false) ? kept : (python.rsplit(kept, ' ', 1)[0] ?? '')) + end;
  },
  format(value, { positional, named }) {
    if (positional.length > 0 && named.size > 0)
      throw new TemplateError("can't handle positional and keyword arguments at the same time");
    return percentFormat(textOf(value), named.size > 0 ? new Map(named) : new Tuple(positional));
  },
  urlencode(value, _, host) {
    const encode = (text: string): string =>
      encodeURIComponent(text).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
    if (typeof value === 'string' || numberOf(value) !== undefined) return encode(textOf(value)).replaceAll('%2F', '/');
    const pairs =
      value instanceof Map ? [...value].map(([key, own]) => [key, own] as JinjaValue[]) : host.iterate(value);
    return pairs
      .map((pair) => {
        const items = host.iterate(pair);
        if (items.length !== 2) throw new TemplateError('urlencode wants pairs');
        return items.map((each) => encode(textOf(each)).replaceAll('%20', '+')).join('=');
      })
      .join('&');
  },
  tojson(value, args, { budget }) {
    const bound = bind('tojson', args, 'ensure_ascii?', 'indent?', 'separators?', 'sort_keys?');
    const indent = bound.get('indent') ?? null;
    const width =
      typeof indent === 'string' || indent === null
        ? indent
        : ' '.repeat(checkedWidth(wholeArgument('tojson', indent)));
    const separators = bound.get('separators') ?? null;
    const own = separators instanceof Tuple ? separators.items : Array.isArray(separators) ? separators : undefined;
    const text = jsonText(value, {
      ensureAscii: isTrue(bound.get('ensure_ascii') ?? false),
      indent: width ?? undefined,
      separators: [
        textArgument('tojson', own?.[0] ?? (width === null ? ', ' : ',')),
        textArgument('tojson', own?.[1] ?? ': '),
      ],
      sortKeys: isTrue(bound.get('sort_keys') ?? false),
      // Before there is the text, which indentation can make of any length.
      write: (characters) => budget.write(characters),
    });
    budget.write(text.length);
    return text;
  },
};

const numberFilters: Readonly<Record<string, Filter>> = {
  abs(value) {
    if (value instanceof Undefined) value.fail();
    const number = numberOf(value);
    if (number === undefined) throw new TemplateError(`bad operand type for abs(): '${typeName(value)}'`);
    return value instanceof Float ? new Float(Math.abs(number)) : Math.abs(number);
  },
  int(value, args) {
    const bound = bind('int', args, 'default?', 'base?');
    if (value instanceof Undefined) value.fail();
    return wholeOf(value, wholeArgument('int', bound.get('base'), 10)) ?? bound.get('default') ?? 0;
  },
  float(value, args) {
    if (value instanceof Undefined) value.fail();
    const number = typeof value === 'string' ? floatOf(value) : numberOf(value);
    return number === undefined ? (bind('float', args, 'default?').get('default') ?? new Float(0)) : new Float(number);
  },
  round(value, args) {
    const bound = bind('round', args, 'precision?', 'method?');
    const [precision, method] = [wholeArgument('round', bound.get('precision'), 0), bound.get('method') ?? 'common'];
    if (value instanceof Undefined) value.fail();
    const number = numberOf(value);
    if (number === undefined) throw new TemplateError(`type ${typeName(value)} doesn't define __round__ method`);
    if (Math.abs(precision) > 15) throw new TemplateError('a precision beyond 15 digits is not known here');
    const power = 10 ** precision;
    if (method === 'ceil') return new Float(Math.ceil(number * power) / power);
    if (method === 'floor') return new Float(Math.floor(number * power) / power);
    if (method !== 'common') throw new TemplateError('method must be common, ceil or floor');
    if (!(value instanceof Float) && precision >= 0) return number;
    if (precision < 0) throw new TemplateError('a negative precision is not known here');
    return new Float(rounded(number, precision));
  },
};

/** To so many digits, exact halves to the even one, as Python. */
function rounded(number: number, precision: number): number {
  if (!Number.isFinite(number) || Math.abs(number) >= 1e21) return number;
  const text = Math.abs(number).toFixed(precision);
  const exact = Math.abs(number).toFixed(Math.min(100, precision + 60));
  const tail = exact.slice(exact.indexOf('.') + 1 + precision);
  let size = Number(text);
  const last = Number(text.at(-1));
  // toFixed takes the larger one of two that are equally near.
  if (/^50*$/.test(tail) && last % 2 === 1) size = Number((size - 10 ** -precision).toFixed(precision));
  return number < 0 || Object.is(number, -0) ? -size : size;
}

/** Python's `int(value)`, or `int(float(value))`. */
function wholeOf(value: JinjaValue, base: number): number | undefined {
  if (typeof value === 'string') {
    const text = python.strip(value, 'both').replace(/(?<=\d)_(?=\d)/g, '');
    if (base === 10 && /^[+-]?\d+$/.test(text)) return safe(Number(text));
    if (base !== 10) {
      const digits = text.replace(/^([+-]?)0[xXoObB]/, '$1');
      const parsed = parseInt(digits, base);
      return /^[+-]?[\da-zA-Z]+$/.test(digits) && !Number.isNaN(parsed) ? safe(parsed) : undefined;
    }
    const number = floatOf(value);
    return number === undefined || !Number.isFinite(number) ? undefined : safe(Math.trunc(number));
  }
  const number = numberOf(value);
  return number === undefined || !Number.isFinite(number) ? undefined : safe(Math.trunc(number));
}

function safe(number: number): number {
  if (!Number.isSafeInteger(number)) throw new TemplateError('whole numbers beyond 2^53 are not known here');
  return number === 0 ? 0 : number;
}

function floatOf(text: string): number | undefined {
  const trimmed = python.strip(text, 'both').replace(/(?<=\d)_(?=\d)/g, '');
  if (/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(trimmed)) return Number(trimmed);
  const special = /^([+-]?)(inf|infinity|nan)$/i.exec(trimmed);
  if (special === null) return undefined;
  const size = special[2]?.toLowerCase() === 'nan' ? NaN : Infinity;
  return special[1] === '-' ? -size : size;
}

const plainFilters: Readonly<Record<string, Filter>> = {
  default(value, args) {
    const bound = bind('default', args, 'default_value?', 'boolean?');
    const isMissing = value instanceof Undefined || (isTrue(bound.get('boolean') ?? false) && !isTrue(value));
    return isMissing ? (bound.get('default_value') ?? (bound.has('default_value') ? null : '')) : value;
  },
  length: lengthOf,
  count: lengthOf,
  attr(value, args, host) {
    const name = textArgument('attr', bind('attr', args, 'name').get('name'));
    const isPlain = value instanceof Map || Array.isArray(value) || typeof value === 'string';
    const own = filterHost(host).ownAttribute(value, name);
    if (own === undefined && isPlain) return new Undefined(`no attribute '${name}'`);
    return own ?? host.attribute(value, name);
  },
};

function lengthOf(value: JinjaValue): JinjaValue {
  if (typeof value === 'string') return python.lengthOf(value);
  if (value instanceof Map) return value.size;
  if (Array.isArray(value) || value instanceof Tuple) return sequenceOf(value).length;
  if (value instanceof Range) return value.length;
  if (value instanceof Lazy && value.again !== undefined) return value.again().length;
  if (value instanceof Undefined) return 0;
  throw new TemplateError(`object of type '${typeName(value)}' has no len()`);
}

/** jinja2's filters; `tojson` is transformers' own. */
export const filters: Readonly<Record<string, Filter>> = {
  ...textFilters,
  ...numberFilters,
  ...plainFilters,
  d: plainFilters['default'] ?? lengthOf,
  ...collectionFilters,
};
