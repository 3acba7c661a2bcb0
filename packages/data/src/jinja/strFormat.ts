import { checkedWidth } from './budget.js';
import { magnitude, reprOf, textOf } from './texts.js';
import { Float, numberOf, TemplateError, typeName } from './values.js';
import type { CallArguments, JinjaValue } from './values.js';

/** Python's `text.format(…)`; fields may look into values by `.name` and `[key]`, as the sandbox allows. */
export function formatText(
  text: string,
  args: CallArguments,
  lookUp: (value: JinjaValue, key: string) => JinjaValue,
): string {
  let automatic = 0;
  return text.replace(/\{\{|\}\}|\{([^{}]*)\}|[{}]/g, (whole, field?: string) => {
    if (whole === '{{') return '{';
    if (whole === '}}') return '}';
    if (field === undefined) throw new TemplateError(`Single '${whole}' encountered in format string`);
    const [, path = '', conversion, spec = ''] = /^([^!:]*)(?:!([rsa]))?(?::([\s\S]*))?$/.exec(field) ?? [];
    const [, first = '', rest = ''] = /^([^.[]*)([\s\S]*)$/.exec(path) ?? [];
    const name = first === '' ? String(automatic++) : first;
    let value = /^\d+$/.test(name) ? args.positional[Number(name)] : args.named.get(name);
    if (value === undefined) throw new TemplateError(`no value for the field {${field}}`);
    for (const [, attribute, key] of rest.matchAll(/\.([^.[]+)|\[([^\]]+)\]/g))
      value = lookUp(value, attribute ?? key ?? '');
    if (conversion === 'a') throw new TemplateError('the conversion !a is not known here');
    if (conversion === 'r') value = reprOf(value);
    if (conversion === 's') value = textOf(value);
    return formatValue(value, spec);
  });
}

/** Python's `format(value, spec)`. */
function formatValue(value: JinjaValue, spec: string): string {
  if (spec === '') return textOf(value);
  const found = /^(?:([\s\S])?([<>=^]))?([-+ ])?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([a-zA-Z%])?$/u.exec(spec);
  if (found === null) throw new TemplateError(`Invalid format specifier '${spec}'`);
  const [, fill, align, sign, alternate, zero, width, grouping, precision, type] = found;
  if (alternate !== undefined) throw new TemplateError('the flag # is not known here');
  const isText = typeof value === 'string';
  const number = numberOf(value);
  if (!isText && (number === undefined || typeof value === 'boolean'))
    throw new TemplateError(`unsupported format string passed to ${typeName(value)}.__format__`);
  let text: string;
  let mark = '';
  if (isText) {
    if ((type ?? 's') !== 's' || sign !== undefined || grouping !== undefined)
      throw new TemplateError(`Unknown format code for object of type 'str'`);
    text = precision === undefined ? value : Array.from(value).slice(0, Number(precision)).join('');
  } else {
    const amount = number ?? 0;
    mark = amount < 0 || Object.is(amount, -0) ? '-' : sign === '+' || sign === ' ' ? sign : '';
    text = numberText(Math.abs(amount), { type, precision, isFloat: value instanceof Float });
    if (grouping !== undefined) text = text.replace(/\d+/, (digits) => digits.replace(/\B(?=(\d{3})+$)/g, grouping));
  }
  const missing = checkedWidth(Number(width ?? 0)) - Array.from(mark + text).length;
  if (missing <= 0) return mark + text;
  const where = align ?? (zero === undefined ? (isText ? '<' : '>') : '=');
  const padding = (fill ?? (zero === undefined ? ' ' : '0')).repeat(missing);
  if (where === '<') return mark + text + padding;
  if (where === '=') return mark + padding + text;
  if (where === '>') return padding + mark + text;
  return padding.slice(0, Math.floor(missing / 2)) + mark + text + padding.slice(Math.floor(missing / 2));
}

function numberText(
  amount: number,
  { type, precision, isFloat }: { type: string | undefined; precision: string | undefined; isFloat: boolean },
): string {
  const digits = precision === undefined ? undefined : Number(precision);
  if (type === '%') return `${magnitude(amount * 100, 'f', { precision: digits })}%`;
  if (type !== undefined && /[eEfFgG]/.test(type)) return magnitude(amount, type, { precision: digits });
  if (isFloat) {
    if (type !== undefined) throw new TemplateError(`Unknown format code '${type}' for object of type 'float'`);
    if (digits !== undefined) throw new TemplateError('a precision without a type is not known here');
    return textOf(new Float(amount));
  }
  if (digits !== undefined) throw new TemplateError('Precision not allowed in integer format specifier');
  return magnitude(amount, type ?? 'd', { precision: undefined });
}
