import { bind, textArgument, wholeArgument } from './arguments.js';
import type { Filter, FilterHost } from './filterHost.js';
import { binary } from './operators.js';
import { points } from './pythonText.js';
import { textOf } from './texts.js';
import { Attributes, compare, isEqual, isTrue, Lazy, TemplateError, Tuple, typeName, Undefined } from './values.js';
import type { CallArguments, JinjaValue } from './values.js';

type Getter = (item: JinjaValue) => JinjaValue;

/** A getter of `a.b.0` and the like; without an attribute the item itself. */
function getterOf(attribute: JinjaValue | undefined, host: FilterHost, fallback?: JinjaValue): Getter {
  if (attribute === undefined || attribute === null) return (item) => item;
  const parts: JinjaValue[] = typeof attribute === 'string' ? attribute.split('.').map(partOf) : [attribute];
  return (item) => {
    let value = item;
    for (const part of parts) {
      value = host.item(value, part);
      if (value instanceof Undefined && fallback !== undefined && fallback !== null) value = fallback;
    }
    return value;
  };
}

function partOf(part: string): JinjaValue {
  return /^\d+$/.test(part) ? Number(part) : part;
}

function withoutCase(getter: Getter, caseSensitive: boolean): Getter {
  if (caseSensitive) return getter;
  return (item) => {
    const value = getter(item);
    return typeof value === 'string' ? value.toLowerCase() : value;
  };
}

function isSet(bound: ReadonlyMap<string, JinjaValue>, name: string): boolean {
  return isTrue(bound.get(name) ?? false);
}

function lazy(items: readonly JinjaValue[], name = 'generator'): Lazy {
  return new Lazy(name, items[Symbol.iterator]());
}

function sorted(items: readonly JinjaValue[], keyOfItem: Getter, isReversed: boolean): JinjaValue[] {
  const keyed = items.map((item) => ({ item, key: keyOfItem(item) }));
  if (keyed.length === 1) return [...items];
  keyed.sort((one, other) => (isReversed ? -1 : 1) * compare(one.key, other.key));
  return keyed.map(({ item }) => item);
}

function extreme(name: string, wanted: 1 | -1): Filter {
  return (value, args, host) => {
    const bound = bind(name, args, 'case_sensitive?', 'attribute?');
    const key = withoutCase(getterOf(bound.get('attribute'), host), isSet(bound, 'case_sensitive'));
    const [first, ...rest] = host.iterate(value);
    if (first === undefined) return new Undefined('No aggregated item, sequence was empty.');
    return rest.reduce((best, item) => (compare(key(item), key(best)) === wanted ? item : best), first);
  };
}

/** The items that a test (or their truth) keeps, or the others; of an attribute where one is asked. */
function selecting(name: string, { keeps, byAttribute }: { keeps: boolean; byAttribute: boolean }): Filter {
  return (value, { positional, named }, host) => {
    if (!isTrue(value)) return lazy([]);
    const [attribute, ...others] = byAttribute ? positional : [null, ...positional];
    if (byAttribute && attribute === undefined) throw new TemplateError('Missing parameter for attribute name');
    const getter = getterOf(attribute, host);
    const [test, ...rest] = others;
    const passes = (item: JinjaValue): boolean =>
      test === undefined ? isTrue(item) : host.test(textArgument(name, test), item, { positional: rest, named });
    return lazy(host.iterate(value).filter((item) => passes(getter(item)) === keeps));
  };
}

function mapping(value: JinjaValue, { positional, named }: CallArguments, host: FilterHost): JinjaValue {
  if (!isTrue(value)) return lazy([]);
  if (positional.length === 0 && named.has('attribute')) {
    const getter = getterOf(named.get('attribute'), host, named.get('default'));
    return lazy(host.iterate(value).map(getter));
  }
  const [name, ...rest] = positional;
  if (name === undefined) throw new TemplateError('map requires a filter argument');
  return lazy(
    host.iterate(value).map((item) => host.filter(textArgument('map', name), item, { positional: rest, named })),
  );
}

function groups(value: JinjaValue, args: CallArguments, host: FilterHost): JinjaValue {
  const bound = bind('groupby', args, 'attribute', 'default?', 'case_sensitive?');
  const own = getterOf(bound.get('attribute'), host, bound.get('default'));
  const key = withoutCase(own, isSet(bound, 'case_sensitive'));
  const found: { key: JinjaValue; items: JinjaValue[] }[] = [];
  for (const item of sorted(host.iterate(value), key, false)) {
    const last = found.at(-1);
    if (last !== undefined && isEqual(last.key, key(item))) last.items.push(item);
    else found.push({ key: key(item), items: [item] });
  }
  return found.map(({ items }) => {
    const grouper = own(items[0] ?? null);
    return new Attributes('tuple', (name) => (name === 'grouper' ? grouper : name === 'list' ? items : undefined));
  });
}

function batches(value: JinjaValue, args: CallArguments, host: FilterHost): JinjaValue {
  const bound = bind('batch', args, 'linecount', 'fill_with?');
  const [size, fill] = [wholeArgument('batch', bound.get('linecount')), bound.get('fill_with') ?? null];
  const made: JinjaValue[][] = [];
  for (const item of host.iterate(value)) {
    const last = made.at(-1);
    if (last === undefined || last.length === size) made.push([item]);
    else last.push(item);
  }
  const last = made.at(-1);
  if (fill !== null && last !== undefined) {
    host.budget.spend(Math.max(0, size - last.length));
    while (last.length < size) last.push(fill);
  }
  return lazy(made);
}

function slices(value: JinjaValue, args: CallArguments, host: FilterHost): JinjaValue {
  const bound = bind('slice', args, 'slices', 'fill_with?');
  const [count, fill] = [wholeArgument('slice', bound.get('slices')), bound.get('fill_with') ?? null];
  if (count === 0) throw new TemplateError('integer division or modulo by zero');
  const items = host.iterate(value);
  host.budget.spend(Math.max(0, count));
  const [each, extra] = [Math.floor(items.length / count), items.length % count];
  let from = 0;
  return lazy(
    Array.from({ length: Math.max(0, count) }, (_, at) => {
      const to = from + each + (at < extra ? 1 : 0);
      const part = items.slice(from, to);
      if (fill !== null && at >= extra) part.push(fill);
      from = to;
      return part;
    }),
  );
}

export const collectionFilters: Readonly<Record<string, Filter>> = {
  list: (value, _, host) => host.iterate(value),
  items(value, _, host) {
    if (value instanceof Undefined) return lazy([]);
    if (!(value instanceof Map)) throw new TemplateError('Can only get item pairs from a mapping.');
    host.budget.spend(value.size);
    return lazy(Array.from(value, ([key, own]) => new Tuple([key, own])));
  },
  first(value, _, host) {
    if (value instanceof Lazy && value.again === undefined) {
      const next = value.items.next();
      return next.done === true ? new Undefined('No first item, sequence was empty.') : next.value;
    }
    return host.iterate(value)[0] ?? (empty(value, host) ? new Undefined('No first item, sequence was empty.') : null);
  },
  last(value, _, host) {
    if (value instanceof Lazy && value.again === undefined)
      throw new TemplateError(`'${value.name}' object is not reversible`);
    if (value instanceof Undefined) return new Undefined('No last item, sequence was empty.');
    return (
      host.iterate(value).at(-1) ?? (empty(value, host) ? new Undefined('No last item, sequence was empty.') : null)
    );
  },
  reverse(value, _, host) {
    if (typeof value === 'string') return [...points(value)].reverse().join('');
    if (value instanceof Lazy && value.again === undefined) return host.iterate(value).reverse();
    return lazy(host.iterate(value).reverse(), 'list_reverseiterator');
  },
  join(value, args, host) {
    const bound = bind('join', args, 'd?', 'attribute?');
    const getter = getterOf(bound.get('attribute'), host);
    const text = host
      .iterate(value)
      .map((item) => textOf(getter(item)))
      .join(textOf(bound.get('d') ?? ''));
    host.budget.write(text.length);
    return text;
  },
  sort(value, args, host) {
    const bound = bind('sort', args, 'reverse?', 'case_sensitive?', 'attribute?');
    const attribute = bound.get('attribute') ?? null;
    const several = typeof attribute === 'string' ? attribute.split(',') : [attribute];
    const getters = several.map((each) => withoutCase(getterOf(each, host), isSet(bound, 'case_sensitive')));
    return sorted(host.iterate(value), (item) => getters.map((getter) => getter(item)), isSet(bound, 'reverse'));
  },
  unique(value, args, host) {
    const bound = bind('unique', args, 'case_sensitive?', 'attribute?');
    const key = withoutCase(getterOf(bound.get('attribute'), host), isSet(bound, 'case_sensitive'));
    const seen: JinjaValue[] = [];
    const kept = host.iterate(value).filter((item) => {
      const own = key(item);
      host.budget.spend(seen.length >> 4);
      if (Array.isArray(own) || own instanceof Map) throw new TemplateError(`unhashable type: '${typeName(own)}'`);
      if (seen.some((each) => isEqual(each, own))) return false;
      seen.push(own);
      return true;
    });
    return lazy(kept);
  },
  dictsort(value, args) {
    const bound = bind('dictsort', args, 'case_sensitive?', 'by?', 'reverse?');
    if (value instanceof Undefined) value.fail();
    if (!(value instanceof Map)) throw new TemplateError(`'${typeName(value)}' object has no attribute 'items'`);
    const by = bound.get('by') ?? 'key';
    if (by !== 'key' && by !== 'value') throw new TemplateError('You can only sort by either "key" or "value"');
    const key: Getter = (pair) => (pair instanceof Tuple ? (pair.items[by === 'key' ? 0 : 1] ?? null) : null);
    const pairs = Array.from(value, ([name, own]) => new Tuple([name, own]));
    return sorted(pairs, withoutCase(key, isSet(bound, 'case_sensitive')), isSet(bound, 'reverse'));
  },
  sum(value, args, host) {
    const bound = bind('sum', args, 'attribute?', 'start?');
    const getter = getterOf(bound.get('attribute'), host);
    const start = bound.get('start') ?? 0;
    if (typeof start === 'string') throw new TemplateError("sum() can't sum strings [use ''.join(seq) instead]");
    return host.iterate(value).reduce((sum, item) => binary('+', sum, getter(item), host.budget), start);
  },
  min: extreme('min', -1),
  max: extreme('max', 1),
  map: mapping,
  select: selecting('select', { keeps: true, byAttribute: false }),
  reject: selecting('reject', { keeps: false, byAttribute: false }),
  selectattr: selecting('selectattr', { keeps: true, byAttribute: true }),
  rejectattr: selecting('rejectattr', { keeps: false, byAttribute: true }),
  groupby: groups,
  batch: batches,
  slice: slices,
};

function empty(value: JinjaValue, host: FilterHost): boolean {
  return host.iterate(value).length === 0;
}
