import { Budget } from './budget.js';
import { Evaluator, Scope } from './evaluator.js';
import { loopCaller, loopOf } from './loop.js';
import type { MacroSyntax, Statement, Target } from './syntax.js';
import type { CallArguments, JinjaValue } from './values.js';
import {
  Callable,
  Float,
  isTrue,
  Lazy,
  Namespace,
  Range,
  sequenceOf,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
} from './values.js';

/** A stretch of what was written, which the template marks with `{% generation %}`. */
export interface Generated {
  readonly start: number;
  readonly end: number;
}

type Signal = 'break' | 'continue' | undefined;

/** How deep macros and loops may call each other. */
const deepest = 150;

/** Writes a template out. */
export class Renderer extends Evaluator {
  readonly generated: Generated[] = [];
  /** What is being written: the text itself, or that of a block within it. */
  #buffers: { parts: string[]; length: number }[] = [{ parts: [], length: 0 }];
  #depth = 0;

  /** @param input characters of what is given to the template, which what it may write is measured by */
  constructor(input: number) {
    super(new Budget({ steps: 5_000_000 + input, output: 16_000_000 + 64 * input }));
  }

  render(body: readonly Statement[], scope: Scope): string {
    this.#run(body, scope);
    return this.#buffers[0]?.parts.join('') ?? '';
  }

  #write(text: string): void {
    const buffer = this.#buffers.at(-1);
    if (buffer === undefined || text === '') return;
    this.budget.write(text.length);
    buffer.parts.push(text);
    buffer.length += text.length;
  }

  /** What a body writes, apart from the rest. */
  #captured(run: () => void): string {
    if (++this.#depth > deepest) throw new TemplateError('maximum recursion depth exceeded');
    this.#buffers.push({ parts: [], length: 0 });
    try {
      run();
    } finally {
      this.#depth--;
    }
    return this.#buffers.pop()?.parts.join('') ?? '';
  }

  #run(body: readonly Statement[], scope: Scope): Signal {
    for (const statement of body) {
      const signal = this.#statement(statement, scope);
      if (signal !== undefined) return signal;
    }
    return undefined;
  }

  #statement(node: Statement, scope: Scope): Signal {
    this.budget.spend();
    switch (node.kind) {
      case 'text':
        this.#write(node.text);
        return undefined;
      case 'output':
        this.#write(this.text(node.value, scope));
        return undefined;
      case 'if':
        for (const [test, body] of node.branches) if (isTrue(this.evaluate(test, scope))) return this.#run(body, scope);
        return this.#run(node.otherwise, scope);
      case 'for':
        return this.#for(node, scope);
      case 'set':
        this.#assign(node.target, this.evaluate(node.value, scope), scope);
        return undefined;
      case 'setBlock': {
        const text = this.#captured(() => this.#run(node.body, new Scope(scope)));
        this.#assign(node.target, this.#filtered(node.value, text, scope), scope);
        return undefined;
      }
      case 'filterBlock': {
        const text = this.#captured(() => this.#run(node.body, new Scope(scope)));
        const value = this.#filtered(node.value, text, scope);
        this.#write(typeof value === 'string' ? value : (this.filter('string', value, noArguments) as string));
        return undefined;
      }
      case 'with': {
        const inner = new Scope(scope);
        for (const [target, value] of node.bindings) this.#assign(target, this.evaluate(value, scope), inner);
        return this.#run(node.body, inner);
      }
      case 'macro':
        scope.values.set(node.macro.name, this.#macro(node.macro, scope));
        return undefined;
      case 'callBlock':
        this.#write(this.#callBlock(node, scope));
        return undefined;
      case 'generation': {
        const text = this.#captured(() => this.#run(node.body, new Scope(scope)));
        // As in transformers: measured by what the whole text has so far.
        const start = this.#buffers[0]?.length ?? 0;
        this.generated.push({ start, end: start + text.length });
        this.#write(text);
        return undefined;
      }
      case 'break':
      case 'continue':
        return node.kind;
    }
  }

  #filtered(node: Parameters<Evaluator['evaluate']>[0], text: string, scope: Scope): JinjaValue {
    const before = this.written;
    this.written = text;
    try {
      return this.evaluate(node, scope);
    } finally {
      this.written = before;
    }
  }

  #callBlock(node: Statement & { kind: 'callBlock' }, scope: Scope): string {
    const { call } = node;
    if (call.kind !== 'call') throw new TemplateError('a call block without a call');
    const args = this.arguments(call.args, scope);
    const named = new Map([...args.named, ['caller', this.#macro(node.macro, scope)]]);
    const value = this.call(this.evaluate(call.callee, scope), { positional: args.positional, named });
    return this.filter('string', value, noArguments) as string;
  }

  #for(node: Statement & { kind: 'for' }, scope: Scope): Signal {
    this.#loop(node, this.evaluate(node.items, scope), { scope, depth: 0 });
    return undefined;
  }

  #loop(
    node: Statement & { kind: 'for' },
    given: JinjaValue,
    { scope, depth }: { readonly scope: Scope; readonly depth: number },
  ): void {
    const items = this.iterate(given).filter((item) => {
      if (node.filter === undefined) return true;
      const inner = new Scope(scope);
      this.#assign(node.target, item, inner);
      return isTrue(this.evaluate(node.filter, inner));
    });
    if (items.length === 0) {
      this.#run(node.otherwise, scope);
      return;
    }
    const state = { items, at: 0, depth, changed: undefined as JinjaValue[] | undefined };
    const again = node.isRecursive
      ? loopCaller((inner) => this.#captured(() => this.#loop(node, inner, { scope, depth: depth + 1 })))
      : undefined;
    const loop = loopOf(state, again);
    let isCompleted = false;
    for (; state.at < items.length; state.at++) {
      this.budget.spend();
      const inner = new Scope(scope);
      inner.values.set('loop', loop);
      this.#assign(node.target, items[state.at] ?? null, inner);
      const signal = this.#run(node.body, inner);
      isCompleted ||= signal === undefined;
      if (signal === 'break') break;
    }
    // As in jinja2, whose mark of a run stands at the end of the body.
    if (!isCompleted) this.#run(node.otherwise, scope);
  }

  #assign(target: Target, value: JinjaValue, scope: Scope): void {
    if (target.kind === 'name') scope.values.set(target.name, value);
    else if (target.kind === 'namespace') {
      const space = scope.find(target.name);
      if (!(space instanceof Namespace)) throw new TemplateError('cannot assign attribute on non-namespace object');
      setIn(space, target.attribute, value);
    } else {
      const items = this.iterate(value);
      if (items.length !== target.items.length)
        throw new TemplateError(`${items.length} values to unpack, ${target.items.length} expected`);
      target.items.forEach((each, at) => this.#assign(each, items[at] ?? null, scope));
    }
  }

  #macro(macro: MacroSyntax, definedIn: Scope): Callable {
    return new Callable(macro.name, (args) => {
      const scope = new Scope(definedIn);
      this.#bind(macro, args, scope);
      return this.#captured(() => this.#run(macro.body, scope));
    });
  }

  #bind({ name, parameters, takes }: MacroSyntax, { positional, named }: CallArguments, scope: Scope): void {
    const rest = new Map(named);
    parameters.forEach(([parameter, fallback], at) => {
      const given = positional[at] ?? (at < positional.length ? null : rest.get(parameter));
      rest.delete(parameter);
      if (given !== undefined) scope.values.set(parameter, given);
      else if (fallback !== undefined) scope.values.set(parameter, this.evaluate(fallback, scope));
      else scope.values.set(parameter, new Undefined(`parameter '${parameter}' was not provided`));
    });
    if (takes.caller) {
      scope.values.set('caller', rest.get('caller') ?? new Undefined('No caller defined'));
      rest.delete('caller');
    }
    if (takes.kwargs) scope.values.set('kwargs', new Map(rest));
    else if (rest.size > 0) {
      const [unknown = ''] = rest.keys();
      throw new TemplateError(`macro '${name}' takes no keyword argument '${unknown}'`);
    }
    if (takes.varargs) scope.values.set('varargs', new Tuple(positional.slice(parameters.length)));
    else if (positional.length > parameters.length)
      throw new TemplateError(`macro '${name}' takes not more than ${parameters.length} argument(s)`);
  }
}

const noArguments: CallArguments = { positional: [], named: new Map() };

function setIn(space: Namespace, name: string, value: JinjaValue): void {
  if (name.startsWith('_'))
    throw new TemplateError(
      `Chat templates cannot store underscore-prefixed attributes on a namespace, but got '${name}'`,
    );
  space.values.set(name, value);
}

/** What jinja2 and transformers put at a template's hand, but for what depends on the chat. */
export function globals(): Map<string, JinjaValue> {
  const dict = ({ positional, named }: CallArguments): Map<string, JinjaValue> => {
    const made = new Map<string, JinjaValue>();
    const [from] = positional;
    if (from instanceof Map) for (const [key, value] of from) made.set(String(key), value);
    else if (from !== undefined) for (const pair of pairsOf(from)) made.set(String(pair[0] ?? ''), pair[1] ?? null);
    for (const [key, value] of named) made.set(key, value);
    return made;
  };
  return new Map<string, JinjaValue>([
    ['range', new Callable('range', ({ positional }) => rangeOf(positional))],
    ['dict', new Callable('dict', dict)],
    [
      'namespace',
      new Callable('namespace', (args) => {
        const space = new Namespace();
        for (const [key, value] of dict(args)) setIn(space, key, value);
        return space;
      }),
    ],
  ]);
}

function pairsOf(value: JinjaValue): readonly (readonly JinjaValue[])[] {
  const items = value instanceof Lazy ? value.again?.() : value;
  if (Array.isArray(items) || items instanceof Tuple)
    return sequenceOf(items).map((pair) => (Array.isArray(pair) || pair instanceof Tuple ? sequenceOf(pair) : []));
  throw new TemplateError(`'${typeName(value)}' object is not iterable`);
}

function rangeOf(bounds: readonly JinjaValue[]): Range {
  const numbers = bounds.map((bound) => {
    if (typeof bound === 'number' || typeof bound === 'boolean') return Number(bound);
    if (bound instanceof Undefined) bound.fail();
    throw new TemplateError(
      `'${bound instanceof Float ? 'float' : typeName(bound)}' object cannot be interpreted as an integer`,
    );
  });
  const [one, other, step = 1] = numbers;
  if (one === undefined || numbers.length > 3) throw new TemplateError('range expected 1 to 3 arguments');
  if (step === 0) throw new TemplateError('range() arg 3 must not be zero');
  return other === undefined ? new Range(0, one, 1) : new Range(one, other, step);
}
