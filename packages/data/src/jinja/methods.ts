import { bind, textArgument, wholeArgument } from './arguments.js';
import type { Budget } from './budget.js';
import * as python from './pythonText.js';
import { formatText } from './strFormat.js';
import { Callable, keyOf, Lazy, TemplateError, Tuple, typeName, Undefined } from './values.js';
import { isEqual } from './values.js';
import type { CallArguments, Dict, JinjaValue } from './values.js';

/** What methods need of the interpreter. */
export interface Host {
  readonly budget: Budget;
  iterate(value: JinjaValue): JinjaValue[];
  attribute(value: JinjaValue, name: string): JinjaValue;
}

type Method<Self> = (self: Self, args: CallArguments, host: Host) => JinjaValue;

/** The method of a value by its name; undefined where Python has none, a refusal where it is not known here. */
export function methodOf(value: JinjaValue, name: string, host: Host): JinjaValue | undefined {
  if (typeof value === 'string') return found(value, { name, methods: textMethods, unknown: otherTextMethods, host });
  if (value instanceof Map) return found(value, { name, methods: dictMethods, unknown: changingDict, host });
  if (Array.isArray(value)) return found(value, { name, methods: listMethods, unknown: changingList, host });
  if (value instanceof Tuple)
    return found([...value.items], { name, methods: listMethods, unknown: new Set<string>(), host });
  return undefined;
}

function found<Self extends JinjaValue>(
  self: Self,
  { name, methods, unknown, host }: { name: string; methods: Methods<Self>; unknown: ReadonlySet<string>; host: Host },
): JinjaValue | undefined {
  const method = Object.hasOwn(methods, name) ? methods[name] : undefined;
  if (method !== undefined) return new Callable(name, (args) => method(self, args, host));
  // Python finds it, and the sandbox forbids it; what it does not forbid is not known here.
  if (unknown.has(name))
    return new Undefined(
      typeof self === 'string'
        ? `the method ${name} of texts is not known here`
        : `access to attribute '${name}' of '${typeName(self)}' object is unsafe.`,
    );
  return undefined;
}

type Methods<Self> = Readonly<Record<string, Method<Self>>>;

const changingList = new Set(['append', 'clear', 'extend', 'insert', 'pop', 'remove', 'reverse', 'sort']);
const changingDict = new Set(['clear', 'pop', 'popitem', 'setdefault', 'update', 'fromkeys']);
const otherTextMethods = new Set(['encode', 'translate', 'maketrans', 'format_map', 'isprintable', 'isidentifier']);

const listMethods: Methods<JinjaValue[]> = {
  index(self, args) {
    const wanted = bind('index', args, 'value').get('value') ?? null;
    const at = self.findIndex((each) => isEqual(each, wanted));
    if (at < 0) throw new TemplateError('value is not in list');
    return at;
  },
  copy: (self) => [...self],
  count: (self, args) => {
    const wanted = bind('count', args, 'value').get('value') ?? null;
    return self.filter((each) => isEqual(each, wanted)).length;
  },
};

const dictMethods: Methods<Dict> = {
  get(self, args) {
    const bound = bind('get', args, 'key', 'default?');
    const own = self.get(keyOf(bound.get('key') ?? null));
    return own ?? (own === undefined ? (bound.get('default') ?? null) : own);
  },
  items: (self) => view('dict_items', () => Array.from(self, ([key, value]) => new Tuple([key, value]))),
  keys: (self) => view('dict_keys', () => [...self.keys()]),
  values: (self) => view('dict_values', () => [...self.values()]),
  copy: (self) => new Map(self),
};

function view(name: string, items: () => JinjaValue[]): Lazy {
  return new Lazy(name, items()[Symbol.iterator](), items);
}

const strips = (side: 'both' | 'left' | 'right', name: string): Method<string> => {
  return (self, args) => {
    const characters = bind(name, args, 'chars?').get('chars') ?? null;
    return python.strip(self, side, characters === null ? undefined : textArgument(name, characters));
  };
};
const splits = (split: typeof python.split, name: string): Method<string> => {
  return (self, args, { budget }) => {
    const bound = bind(name, args, 'sep?', 'maxsplit?');
    const separator = bound.get('sep') ?? null;
    const text = separator === null ? undefined : textArgument(name, separator);
    if (text === '') throw new TemplateError('empty separator');
    const parts = split(self, text, wholeArgument(name, bound.get('maxsplit'), -1));
    budget.spend(parts.length);
    return parts;
  };
};
const partitions = (last: boolean): Method<string> => {
  return (self, args) => {
    const separator = textArgument('partition', bind('partition', args, 'sep').get('sep'));
    if (separator === '') throw new TemplateError('empty separator');
    const at = last ? self.lastIndexOf(separator) : self.indexOf(separator);
    if (at < 0) return new Tuple(last ? ['', '', self] : [self, '', '']);
    return new Tuple([self.slice(0, at), separator, self.slice(at + separator.length)]);
  };
};
const finds = (name: string, last: boolean): Method<string> => {
  return (self, args) => {
    const bound = bind(name, args, 'sub', 'start?', 'end?');
    const bounds = ['start', 'end'].map((key) => {
      const given = bound.get(key);
      return given === undefined || given === null ? undefined : wholeArgument(name, given);
    });
    const at = python.find(self, textArgument(name, bound.get('sub')), bounds, last);
    if (at < 0 && name.endsWith('index')) throw new TemplateError('substring not found');
    return at;
  };
};
const begins = (name: string, test: (self: string, affix: string) => boolean): Method<string> => {
  return (self, args) => {
    const given = bind(name, args, 'prefix').get('prefix') ?? null;
    const affixes = given instanceof Tuple ? given.items : [given];
    return affixes.some((affix) => test(self, textArgument(name, affix)));
  };
};
const asks =
  (test: (self: string) => boolean): Method<string> =>
  (self, args) => {
    bind('method', args);
    return test(self);
  };
const pads = (name: string, pad: (text: string, width: number, fill: string) => string): Method<string> => {
  return (self, args, { budget }) => {
    const bound = bind(name, args, 'width', 'fillchar?');
    const width = wholeArgument(name, bound.get('width'));
    budget.write(Math.max(0, width));
    return pad(self, width, textArgument(name, bound.get('fillchar') ?? ' '));
  };
};
const repeated = (fill: string, width: number, text: string): string =>
  fill.repeat(Math.max(0, width - python.lengthOf(text)));
const hasCased = (text: string): boolean => text.toLowerCase() !== text.toUpperCase();

const textMethods: Methods<string> = {
  strip: strips('both', 'strip'),
  lstrip: strips('left', 'lstrip'),
  rstrip: strips('right', 'rstrip'),
  split: splits(python.split, 'split'),
  rsplit: splits(python.rsplit, 'rsplit'),
  splitlines: (self, args) => python.splitLines(self, bind('splitlines', args, 'keepends?').get('keepends') === true),
  partition: partitions(false),
  rpartition: partitions(true),
  find: finds('find', false),
  rfind: finds('rfind', true),
  index: finds('index', false),
  rindex: finds('rindex', true),
  startswith: begins('startswith', (self, affix) => self.startsWith(affix)),
  endswith: begins('endswith', (self, affix) => self.endsWith(affix)),
  count: (self, args) => python.count(self, textArgument('count', bind('count', args, 'sub').get('sub'))),
  replace(self, args, { budget }) {
    const bound = bind('replace', args, 'old', 'new', 'count?');
    const [old, by] = [textArgument('replace', bound.get('old')), textArgument('replace', bound.get('new'))];
    budget.write(self.length + python.count(self, old) * by.length);
    return python.replace(self, old, by, wholeArgument('replace', bound.get('count'), -1));
  },
  removeprefix(self, args) {
    const affix = textArgument('removeprefix', bind('removeprefix', args, 'prefix').get('prefix'));
    return self.startsWith(affix) ? self.slice(affix.length) : self;
  },
  removesuffix(self, args) {
    const affix = textArgument('removesuffix', bind('removesuffix', args, 'suffix').get('suffix'));
    return affix !== '' && self.endsWith(affix) ? self.slice(0, -affix.length) : self;
  },
  join(self, args, host) {
    const items = host.iterate(bind('join', args, 'iterable').get('iterable') ?? null);
    const texts = items.map((item, at) => {
      if (typeof item === 'string') return item;
      throw new TemplateError(`sequence item ${at}: expected str instance, ${typeName(item)} found`);
    });
    host.budget.write(texts.reduce((sum, text) => sum + text.length + self.length, 0));
    return texts.join(self);
  },
  format: (self, args, host) => formatText(self, args, (value, key) => host.attribute(value, key)),
  upper: (self) => self.toUpperCase(),
  lower: (self) => self.toLowerCase(),
  casefold: (self) => self.toLowerCase().replaceAll('ß', 'ss'),
  capitalize: (self) => python.capitalize(self),
  title: (self) => python.title(self),
  swapcase: (self) => python.swapCase(self),
  center: pads('center', python.center),
  ljust: pads('ljust', (text, width, fill) => text + repeated(fill, width, text)),
  rjust: pads('rjust', (text, width, fill) => repeated(fill, width, text) + text),
  zfill(self, args, { budget }) {
    const width = wholeArgument('zfill', bind('zfill', args, 'width').get('width'));
    budget.write(Math.max(0, width));
    const sign = /^[-+]/.exec(self)?.[0] ?? '';
    return sign + repeated('0', width, self) + self.slice(sign.length);
  },
  expandtabs: (self, args, { budget }) => {
    const size = wholeArgument('expandtabs', bind('expandtabs', args, 'tabsize?').get('tabsize'), 8);
    let column = 0;
    return Array.from(self, (letter) => {
      if (letter === '\n' || letter === '\r') column = 0;
      else if (letter !== '\t') column++;
      if (letter !== '\t') return letter;
      const blanks = size > 0 ? size - (column % size) : 0;
      column += blanks;
      budget.write(blanks);
      return ' '.repeat(blanks);
    }).join('');
  },
  isalnum: asks((self) => /^[\p{L}\p{N}]+$/u.test(self)),
  isalpha: asks((self) => /^\p{L}+$/u.test(self)),
  // oxlint-disable-next-line no-control-regex
  isascii: asks((self) => /^[\0-\x7f]*$/.test(self)),
  isdecimal: asks((self) => /^\p{Nd}+$/u.test(self)),
  isdigit: asks((self) => /^[\p{Nd}\u00b2\u00b3\u00b9\u2070\u2074-\u2079\u2080-\u2089\u2460-\u2468]+$/u.test(self)),
  isnumeric: asks((self) => /^\p{N}+$/u.test(self)),
  isspace: asks((self) => new RegExp(`^[${python.pythonSpace}]+$`, 'u').test(self)),
  islower: asks((self) => hasCased(self) && self === self.toLowerCase()),
  isupper: asks((self) => hasCased(self) && self === self.toUpperCase()),
  istitle: asks((self) => hasCased(self) && self === python.title(self)),
};
