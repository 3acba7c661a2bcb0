import type { Budget } from './budget.js';
import { filters } from './filters.js';
import { methodOf } from './methods.js';
import { binary, compares, negative } from './operators.js';
import { points, sliceIndices } from './pythonText.js';
import type { Arguments, Expression } from './syntax.js';
import { tests, testsWithArguments } from './tests.js';
import { textOf } from './texts.js';
import type { CallArguments, JinjaValue } from './values.js';
import {
  Attributes,
  Callable,
  Float,
  isTrue,
  keyOf,
  Lazy,
  Namespace,
  numberOf,
  Range,
  sequenceOf,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
} from './values.js';

/** Names and what they stand for; what is not here is looked for further out. */
export class Scope {
  readonly values = new Map<string, JinjaValue>();

  constructor(readonly outer?: Scope) {}

  find(name: string): JinjaValue | undefined {
    return this.values.get(name) ?? (this.values.has(name) ? null : this.outer?.find(name));
  }
}

/** Filters that make Markup, which then escapes what it is joined with: known only where their text is written out. */
const markup = new Set(['safe', 'escape', 'e', 'forceescape']);

/** Works out expressions as jinja2's sandbox does. */
export class Evaluator {
  constructor(readonly budget: Budget) {}

  /** What a block wrote, while its filter is applied. */
  protected written = '';

  evaluate(node: Expression, scope: Scope): JinjaValue {
    this.budget.spend();
    switch (node.kind) {
      case 'const':
        return typeof node.value === 'object' && node.value !== null ? new Float(node.value.float) : node.value;
      case 'name':
        return scope.find(node.name) ?? this.#missing(node.name, scope);
      case 'list':
        return node.items.map((each) => this.evaluate(each, scope));
      case 'tuple':
        return new Tuple(node.items.map((each) => this.evaluate(each, scope)));
      case 'dict':
        return new Map(
          node.entries.map(([key, value]) => [keyOf(this.evaluate(key, scope)), this.evaluate(value, scope)]),
        );
      case 'condition':
        if (isTrue(this.evaluate(node.test, scope))) return this.evaluate(node.yes, scope);
        if (node.no !== undefined) return this.evaluate(node.no, scope);
        return new Undefined('the inline if-expression evaluated to false and no else section was defined.');
      case 'and': {
        const left = this.evaluate(node.left, scope);
        return isTrue(left) ? this.evaluate(node.right, scope) : left;
      }
      case 'or': {
        const left = this.evaluate(node.left, scope);
        return isTrue(left) ? left : this.evaluate(node.right, scope);
      }
      case 'not':
        return !isTrue(this.evaluate(node.operand, scope));
      case 'neg':
        return negative(this.evaluate(node.operand, scope));
      case 'pos':
        return negative(negative(this.evaluate(node.operand, scope)));
      case 'compare':
        return this.#compare(node, scope);
      case 'binary':
        // jinja2 writes such a constant without parentheses, and Python then takes the power first.
        if (node.op === '**' && node.left.kind === 'neg' && node.right.kind !== 'const')
          throw new TemplateError('a power of a negative constant is not known here');
        return binary(node.op, this.evaluate(node.left, scope), this.evaluate(node.right, scope), this.budget);
      case 'concat': {
        const text = node.parts.map((part) => textOf(this.evaluate(part, scope))).join('');
        this.budget.write(text.length);
        return text;
      }
      case 'attribute':
        return this.attribute(this.evaluate(node.object, scope), node.name);
      case 'item':
        return this.item(this.evaluate(node.object, scope), this.evaluate(node.key, scope));
      case 'slice':
        return this.#slice(node, scope);
      case 'call':
        return this.call(this.evaluate(node.callee, scope), this.arguments(node.args, scope));
      case 'filter': {
        if (markup.has(node.name))
          throw new TemplateError(`the filter ${node.name} within an expression is not known here`);
        const operand = this.evaluate(node.operand, scope);
        return this.filter(node.name, operand, this.arguments(node.args, scope));
      }
      case 'test':
        return this.test(node.name, this.evaluate(node.operand, scope), this.arguments(node.args, scope));
      case 'written':
        return this.written;
    }
  }

  #missing(name: string, scope: Scope): JinjaValue {
    for (let at: Scope | undefined = scope; at !== undefined; at = at.outer)
      if (at.values.has(name)) return at.values.get(name) ?? null;
    return new Undefined(`'${name}' is undefined`);
  }

  /** The text that an output writes. */
  text(node: Expression, scope: Scope): string {
    if (node.kind !== 'filter' || !markup.has(node.name)) return textOf(this.evaluate(node, scope));
    const text = this.text(node.operand, scope);
    return node.name === 'safe' ? text : text.replace(/[&<>'"]/g, (sign) => entities[sign] ?? sign);
  }

  arguments(args: Arguments, scope: Scope): CallArguments {
    const positional = args.positional.map((each) => this.evaluate(each, scope));
    if (args.spread !== undefined)
      for (const value of this.iterate(this.evaluate(args.spread, scope))) positional.push(value);
    const named = new Map(args.named.map(([name, value]) => [name, this.evaluate(value, scope)]));
    if (args.spreadNamed !== undefined) {
      const more = this.evaluate(args.spreadNamed, scope);
      if (!(more instanceof Map)) throw new TemplateError(`argument after ** must be a mapping, not ${typeName(more)}`);
      for (const [name, value] of more) named.set(String(name), value);
    }
    return { positional, named };
  }

  call(callee: JinjaValue, args: CallArguments): JinjaValue {
    if (callee instanceof Callable) return callee.call(args);
    if (callee instanceof Attributes && callee.call !== undefined) return callee.call(args);
    if (callee instanceof Undefined) callee.fail();
    throw new TemplateError(`'${typeName(callee)}' object is not callable`);
  }

  filter(name: string, value: JinjaValue, args: CallArguments): JinjaValue {
    const filter = Object.hasOwn(filters, name) ? filters[name] : undefined;
    if (filter === undefined) throw new TemplateError(`the filter ${name} is not known here`);
    return filter(value, args, this);
  }

  test(name: string, value: JinjaValue, args: CallArguments): boolean {
    const test = Object.hasOwn(tests, name) ? tests[name] : undefined;
    if (test === undefined) throw new TemplateError(`the test ${name} is not known here`);
    const isAlone = !testsWithArguments.has(name);
    if (isAlone && args.positional.length + args.named.size > 0)
      throw new TemplateError(`the test ${name} takes no arguments`);
    return test(value, args, this);
  }

  /** `object.name`: an attribute of Python's, else an item. */
  attribute(object: JinjaValue, name: string): JinjaValue {
    if (object instanceof Undefined) object.fail();
    if (name.startsWith('_')) return new Undefined(`access to attribute '${name}' is unsafe.`);
    const own = this.ownAttribute(object, name);
    if (own !== undefined) return own;
    const item = this.#itemOf(object, name);
    return item === undefined ? absent(object, name) : item;
  }

  /** `object[key]`: an item, else an attribute. */
  item(object: JinjaValue, key: JinjaValue): JinjaValue {
    if (object instanceof Undefined) object.fail();
    const found = this.#itemOf(object, key);
    if (found !== undefined) return found;
    const name = typeof key === 'string' && !key.startsWith('_') ? key : undefined;
    const own = name === undefined ? undefined : this.ownAttribute(object, name);
    return own === undefined ? absent(object, key) : own;
  }

  ownAttribute(object: JinjaValue, name: string): JinjaValue | undefined {
    if (object instanceof Namespace) return object.values.get(name);
    if (object instanceof Attributes) return object.get(name);
    return methodOf(object, name, this);
  }

  #itemOf(object: JinjaValue, key: JinjaValue): JinjaValue | undefined {
    if (object instanceof Map) {
      if (Array.isArray(key) || key instanceof Map || key instanceof Undefined) return undefined;
      return object.get(keyOf(key));
    }
    const at = key instanceof Float ? undefined : numberOf(key);
    if (at === undefined) return undefined;
    if (typeof object === 'string') {
      const letters = points(object);
      return letters[at < 0 ? at + letters.length : at];
    }
    if (object instanceof Attributes && object.name === 'tuple') return object.get(at === 0 ? 'grouper' : 'list');
    if (!Array.isArray(object) && !(object instanceof Tuple) && !(object instanceof Range)) return undefined;
    const items = sequenceOf(object);
    return items[at < 0 ? at + items.length : at];
  }

  #slice({ object, bounds }: Expression & { kind: 'slice' }, scope: Scope): JinjaValue {
    const value = this.evaluate(object, scope);
    if (value instanceof Undefined) value.fail();
    const [start, stop, step] = bounds.map((bound) => {
      const given = bound === undefined ? null : this.evaluate(bound, scope);
      if (given === null || typeof given === 'number') return given ?? undefined;
      if (typeof given === 'boolean') return Number(given);
      throw new TemplateError('slice indices must be integers or None or have an __index__ method');
    });
    if (step === 0) throw new TemplateError('slice step cannot be zero');
    const cut = (length: number): readonly number[] => {
      const indices = sliceIndices(length, start, stop, step ?? 1);
      this.budget.spend(indices.length >> 3);
      return indices;
    };
    if (typeof value === 'string') {
      if (!/[\ud800-\udfff]/.test(value) && (step ?? 1) === 1) return value.slice(start ?? 0, stop ?? value.length);
      const letters = points(value);
      return cut(letters.length)
        .map((at) => letters[at] ?? '')
        .join('');
    }
    if (Array.isArray(value) || value instanceof Tuple || value instanceof Range) {
      const items = sequenceOf(value);
      const part = cut(items.length).map((at) => items[at] ?? null);
      return value instanceof Tuple ? new Tuple(part) : part;
    }
    // Python raises; of constants jinja2 makes an undefined value.
    throw new TemplateError(`a slice of a ${typeName(value)} is not known here`);
  }

  #compare({ first, rest }: Expression & { kind: 'compare' }, scope: Scope): JinjaValue {
    let left = this.evaluate(first, scope);
    for (const { op, operand } of rest) {
      const right = this.evaluate(operand, scope);
      if (!compares(op, left, right, this.budget)) return false;
      left = right;
    }
    return true;
  }

  /** All items of what Python can run through. */
  iterate(value: JinjaValue): JinjaValue[] {
    const items = this.#itemsOf(value);
    this.budget.spend(items.length);
    return items;
  }

  #itemsOf(value: JinjaValue): JinjaValue[] {
    if (Array.isArray(value)) return [...value];
    if (typeof value === 'string') return [...points(value)];
    if (value instanceof Map) return [...value.keys()];
    if (value instanceof Tuple || value instanceof Range) return [...sequenceOf(value)];
    if (value instanceof Undefined) return [];
    if (value instanceof Attributes && value.name === 'tuple')
      return [value.get('grouper') ?? null, value.get('list') ?? null];
    if (value instanceof Lazy) {
      if (value.again !== undefined) return value.again();
      const items: JinjaValue[] = [];
      for (let next = value.items.next(); next.done !== true; next = value.items.next()) items.push(next.value);
      return items;
    }
    throw new TemplateError(`'${typeName(value)}' object is not iterable`);
  }
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  "'": '&#39;',
  '"': '&#34;',
};

function absent(object: JinjaValue, key: JinjaValue): Undefined {
  const name = typeof key === 'string' ? `attribute '${key}'` : 'such element';
  return new Undefined(`'${typeName(object)} object' has no ${name}`);
}
