import { checkedWidth } from './budget.js';
import { Float, Lazy, Range, TemplateError, Tuple, Undefined, numberOf, typeName } from './values.js';
import type { Dict, JinjaValue } from './values.js';

/** Python's `str` of a value. */
export function textOf(value: JinjaValue): string {
  if (typeof value === 'string') return value;
  return value instanceof Undefined ? '' : reprOf(value);
}

/** Python's `repr` of a value. */
export function reprOf(value: JinjaValue, depth = 0): string {
  if (depth > 200) throw new TemplateError('maximum recursion depth exceeded');
  if (typeof value === 'string') return quoted(value);
  if (typeof value === 'number') return wholeText(value);
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (value === null) return 'None';
  if (value instanceof Float) return floatText(value.value);
  if (value instanceof Undefined) return 'Undefined';
  const inner = (each: JinjaValue): string => reprOf(each, depth + 1);
  if (Array.isArray(value)) return `[${value.map(inner).join(', ')}]`;
  if (value instanceof Tuple)
    return value.items.length === 1 ? `(${inner(value.items[0] ?? null)},)` : `(${value.items.map(inner).join(', ')})`;
  if (value instanceof Map) return `{${Array.from(value, ([key, own]) => `${inner(key)}: ${inner(own)}`).join(', ')}}`;
  if (value instanceof Range) return `range(${value.start}, ${value.stop}${value.step === 1 ? '' : `, ${value.step}`})`;
  if (value instanceof Lazy && value.again !== undefined)
    return `${value.name}([${value.again().map(inner).join(', ')}])`;
  throw new TemplateError(`a ${typeName(value)} written with its place in memory is not known here`);
}

export function wholeText(value: number): string {
  if (!Number.isSafeInteger(value)) throw new TemplateError('whole numbers beyond 2^53 are not known here');
  return String(value === 0 ? 0 : value);
}

/** Python's shortest decimal of a float: with a point, with exponents of two digits from 1e16 and below 1e-4. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value < 0 ? '-inf' : 'inf';
  if (Object.is(value, -0)) return '-0.0';
  const [digits = '', exponent = ''] = value.toExponential().split('e');
  const power = Number(exponent);
  if (value !== 0 && (power < -4 || power >= 16))
    return `${digits}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
  const plain =
    power >= 0 ? value.toLocaleString('en', { useGrouping: false, maximumFractionDigits: 20 }) : decimal(value);
  return plain.includes('.') ? plain : `${plain}.0`;
}

function decimal(value: number): string {
  const [digits = '', exponent = '0'] = Math.abs(value).toExponential().split('e');
  const zeros = '0'.repeat(Math.max(0, -Number(exponent) - 1));
  return `${value < 0 ? '-' : ''}0.${zeros}${digits.replace('.', '')}`;
}

function quoted(text: string): string {
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  return mark + text.replace(unprintable, (letter) => (letter === mark ? `\\${mark}` : escapeOf(letter))) + mark;
}

const unprintable = /[\\'"\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;
const short: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function escapeOf(letter: string): string {
  if (letter === "'" || letter === '"') return letter;
  const code = letter.codePointAt(0) ?? 0;
  const hex = code.toString(16);
  if (code < 0x100) return short[letter] ?? `\\x${hex.padStart(2, '0')}`;
  return code < 0x10000 ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`;
}

export interface JsonOptions {
  readonly ensureAscii: boolean;
  /** What one level is indented by; without it everything is on one line. */
  readonly indent: string | undefined;
  readonly separators: readonly [item: string, key: string];
  readonly sortKeys: boolean;
  /** Gets the characters that are to be written for indentation, and may throw. */
  readonly write?: (characters: number) => void;
}

/** Python's `json.dumps`. */
export function jsonText(value: JinjaValue, options: JsonOptions, level = 0): string {
  if (level > 200) throw new TemplateError('maximum recursion depth exceeded');
  if (typeof value === 'string') return jsonString(value, options.ensureAscii);
  if (typeof value === 'boolean') return value ? 'true' : 'false';
  if (value === null) return 'null';
  if (typeof value === 'number') return wholeText(value);
  if (value instanceof Float) return floatText(value.value).replace('inf', 'Infinity').replace('nan', 'NaN');
  if (Array.isArray(value) || value instanceof Tuple) {
    const items = Array.isArray(value) ? value : value.items;
    return wrapped(
      items.map((each) => jsonText(each, options, level + 1)),
      '[]',
      { options, level },
    );
  }
  if (value instanceof Map) {
    const entries = options.sortKeys ? [...value].sort(([one], [other]) => orderOfKeys(one, other)) : [...value];
    const written = entries.map(([key, own]) => {
      const name = typeof key === 'string' ? key : key === null ? 'null' : wholeText(Number(key));
      return jsonString(name, options.ensureAscii) + options.separators[1] + jsonText(own, options, level + 1);
    });
    return wrapped(written, '{}', { options, level });
  }
  throw new TemplateError(`Object of type ${typeName(value)} is not JSON serializable`);
}

function orderOfKeys(one: unknown, other: unknown): number {
  return String(one) < String(other) ? -1 : 1;
}

function wrapped(
  items: readonly string[],
  brackets: string,
  { options, level }: { options: JsonOptions; level: number },
): string {
  if (items.length === 0) return brackets;
  const [open = '', close = ''] = brackets;
  if (options.indent === undefined) return open + items.join(options.separators[0]) + close;
  options.write?.(options.indent.length * (level + 1) * (items.length + 1));
  const line = `\n${options.indent.repeat(level + 1)}`;
  return `${open}${line}${items.join(options.separators[0] + line)}\n${options.indent.repeat(level)}${close}`;
}

function jsonString(text: string, ensureAscii: boolean): string {
  const escaped = text.replace(jsonEscapes, (letter) => {
    const short = jsonShort[letter];
    return short ?? `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
  const ascii = ensureAscii
    ? escaped.replace(/[\u007f-\uffff]/g, (unit) =>
        unit === '\x7f' ? unit : `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
      )
    : escaped;
  return `"${ascii}"`;
}

// oxlint-disable-next-line no-control-regex
const jsonEscapes = /["\\\u0000-\u001f]/g;
const jsonShort: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\b': '\\b',
  '\f': '\\f',
};

/**
 * `text % values`: `%s`, `%r`, `%d`, `%i`, `%x`, `%o`, `%f`, `%e`, `%g`, `%c`, `%%`, with flags, width and precision.
 */
export function percentFormat(text: string, values: JinjaValue): string {
  const queue = values instanceof Tuple ? [...values.items] : [values];
  let used = 0;
  const written = text.replace(
    /%(?:\(([^)]*)\))?([-+ 0#]*)(\*|\d+)?(?:\.(\*|\d+))?[hlL]?([\s\S]?)/g,
    (...found: (string | undefined)[]) => {
      const [, name, flags = '', width, precision, type] = found;
      if (type === '%') return '%';
      if (width === '*' || precision === '*') throw new TemplateError('widths by * are not known here');
      let value: JinjaValue | undefined;
      if (name !== undefined) {
        if (!(values instanceof Map)) throw new TemplateError('format requires a mapping');
        value = (values as Dict).get(name);
        if (value === undefined) throw new TemplateError(`KeyError: '${name}'`);
      } else {
        value = queue[used++];
        if (value === undefined) throw new TemplateError('not enough arguments for format string');
      }
      return padded(
        converted(value, type ?? '', { flags, precision: precision === undefined ? undefined : Number(precision) }),
        {
          flags,
          width: Number(width ?? 0),
          isNumber: /[dioxXfFeEgG]/.test(type ?? ''),
        },
      );
    },
  );
  // What has items by keys may stay unused: lists too, but no tuples and no texts.
  const isMapping =
    values instanceof Map || Array.isArray(values) || values instanceof Range || values instanceof Undefined;
  if (used < queue.length && !isMapping)
    throw new TemplateError('not all arguments converted during string formatting');
  return written;
}

function converted(
  value: JinjaValue,
  type: string,
  { flags, precision }: { flags: string; precision: number | undefined },
): string {
  if (type === 's' || type === 'r') {
    const text = type === 's' ? textOf(value) : reprOf(value);
    return precision === undefined ? text : Array.from(text).slice(0, precision).join('');
  }
  if (type === 'c' && typeof value === 'string' && Array.from(value).length === 1) return value;
  const number = numberOf(value);
  if (number === undefined)
    throw new TemplateError(`%${type} format: a real number is required, not ${typeName(value)}`);
  if (type === 'c') return String.fromCodePoint(number);
  const sign = number < 0 || Object.is(number, -0) ? '-' : flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '';
  return sign + magnitude(Math.abs(number), type, { precision, alternate: flags.includes('#') });
}

/** A number without its sign, as `%` and `format` write it. */
export function magnitude(
  number: number,
  type: string,
  { precision, alternate = false }: { precision: number | undefined; alternate?: boolean },
): string {
  if (/[dioxXb]/.test(type)) {
    const whole = Math.trunc(number);
    if (alternate) throw new TemplateError('the flag # is not known here');
    const radix = type === 'o' ? 8 : type === 'b' ? 2 : /[xX]/.test(type) ? 16 : 10;
    const digits = whole.toString(radix).padStart(precision ?? 0, '0');
    return type === 'X' ? digits.toUpperCase() : digits;
  }
  if (!Number.isFinite(number)) return Number.isNaN(number) ? 'nan' : 'inf';
  if (type === 'f' || type === 'F') return fixed(number, precision ?? 6);
  if (type === 'e' || type === 'E') return exponential(number, precision ?? 6, type);
  if (type === 'g' || type === 'G') return general(number, precision ?? 6, type);
  throw new TemplateError(`the conversion %${type} is not known here`);
}

function fixed(number: number, precision: number): string {
  if (precision > 100 || number >= 1e21) throw new TemplateError('numbers of that length are not known here');
  return number.toFixed(precision);
}

function exponential(number: number, precision: number, type: string): string {
  if (precision > 100) throw new TemplateError('numbers of that length are not known here');
  const text = number.toExponential(precision).replace(/e([+-])(\d)$/, 'e$10$2');
  return type === 'E' ? text.toUpperCase() : text;
}

function general(number: number, given: number, type: string): string {
  const precision = Math.max(1, given);
  const exponent = number === 0 ? 0 : Number(number.toExponential(precision - 1).split('e')[1]);
  const isLong = exponent < -4 || exponent >= precision;
  const text = isLong ? exponential(number, precision - 1, 'e') : number.toFixed(Math.max(0, precision - 1 - exponent));
  const [mantissa = '', power] = text.split('e');
  const trimmed = mantissa.includes('.') ? mantissa.replace(/\.?0+$/, '') : mantissa;
  const joined = power === undefined ? trimmed : `${trimmed}e${power}`;
  return type === 'G' ? joined.toUpperCase() : joined;
}

function padded(text: string, { flags, width, isNumber }: { flags: string; width: number; isNumber: boolean }): string {
  const missing = checkedWidth(width) - Array.from(text).length;
  if (missing <= 0) return text;
  if (flags.includes('-')) return text + ' '.repeat(missing);
  if (!isNumber || !flags.includes('0')) return ' '.repeat(missing) + text;
  const sign = /^[-+ ]/.exec(text)?.[0] ?? '';
  return sign + '0'.repeat(missing) + text.slice(sign.length);
}
