import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja';
import { strftime } from './chatDate.js';

type Statement = NonNullable<Parameters<Interpreter['evaluate']>[0]>;
type RuntimeValue = ReturnType<Interpreter['evaluate']>;
type Program = ReturnType<typeof parse>;

/** A node of the syntax tree, as far as this file looks into it. */
interface Node {
  readonly type: string;
  readonly value?: unknown;
  readonly body?: unknown;
  readonly [key: string]: unknown;
}

/** What a template itself refused, with `raise_exception`. */
export class TemplateRefusal extends Error {}

/** A filter that no template can name: Python's `str` of what is written out. */
const written = ' written';

/**
 * Parses a chat template with transformers' settings (trim_blocks, lstrip_blocks).
 *
 * @throws Error of @huggingface/jinja where the syntax is not known
 */
export function parseTemplate(source: string): Program {
  const program = parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
  writeAsPython(program as unknown as Node);
  return program;
}

/**
 * Renders with what transformers puts at a template's hand: `raise_exception`, `strftime_now`, `range` and the
 * variables.
 */
export function renderTemplate(program: Program, variables: Readonly<Record<string, unknown>>, now: Date): string {
  const environment = new Environment();
  const globals = {
    false: false,
    true: true,
    none: null,
    False: false,
    True: true,
    None: null,
    range,
    raise_exception(message: unknown) {
      throw new TemplateRefusal(String(message));
    },
    strftime_now: (format: unknown) => strftime(now, String(format)),
  };
  for (const [name, value] of Object.entries({ ...globals, ...variables }))
    if (value !== undefined) environment.set(name, value);
  return String(new PythonInterpreter(environment).run(program).value);
}

/**
 * The library's interpreter where it does otherwise than Python: how values are written out, `strip` with characters to
 * strip, and `+` between a string and something else, which is an error.
 */
class PythonInterpreter extends Interpreter {
  override evaluate(statement: Statement | undefined, environment: Environment): RuntimeValue {
    if (statement?.type === 'FilterExpression') {
      const { operand, filter } = statement as unknown as { operand: Statement; filter: Node };
      if (filter.value === written || filter.value === 'string' || filter.value === 'trim') {
        const value = this.evaluate(operand, environment);
        const text = value.type === 'StringValue' ? String(value.value) : pythonText(value);
        return this.text(filter.value === 'trim' ? text.trim() : text, environment);
      }
    }
    if (statement?.type === 'BinaryExpression' && (statement as unknown as { operator: Node }).operator.value === '+') {
      const { left, right } = statement as unknown as { left: Statement; right: Statement };
      const [a, b] = [this.evaluate(left, environment), this.evaluate(right, environment)];
      if (a.type === 'StringValue' && b.type === 'StringValue')
        return this.text(String(a.value) + String(b.value), environment);
      const other = [a, b].find(({ type }) => type !== 'StringValue');
      if (a.type === 'StringValue' || b.type === 'StringValue')
        throw new TypeError(
          `a string can be joined with a string only, not with ${other?.type.replace('Value', '').toLowerCase()}`,
        );
    }
    if (statement?.type === 'CallExpression') {
      const stripped = this.strip(statement as unknown as Node, environment);
      if (stripped !== undefined) return stripped;
    }
    return super.evaluate(statement, environment);
  }

  /** `text.strip(characters)`, `lstrip`, `rstrip`. */
  private strip({ callee, args }: Node, environment: Environment): RuntimeValue | undefined {
    const { type, computed, property, object } = callee as Node & { property?: Node; object?: Statement };
    const side = property?.value;
    if (
      type !== 'MemberExpression' ||
      computed === true ||
      (side !== 'strip' && side !== 'lstrip' && side !== 'rstrip')
    )
      return undefined;
    const [wanted] = args as readonly Statement[];
    if (wanted === undefined) return undefined;
    const value = this.evaluate(object, environment);
    const characters = this.evaluate(wanted, environment);
    if (value.type !== 'StringValue' || characters.type !== 'StringValue') return undefined;
    const set = new Set(String(characters.value));
    const letters = Array.from(String(value.value));
    let [start, end] = [0, letters.length];
    if (side !== 'rstrip') while (start < end && set.has(letters[start] ?? '')) start++;
    if (side !== 'lstrip') while (end > start && set.has(letters[end - 1] ?? '')) end--;
    return this.text(letters.slice(start, end).join(''), environment);
  }

  private text(value: string, environment: Environment): RuntimeValue {
    return super.evaluate({ type: 'StringLiteral', value } as unknown as Statement, environment);
  }
}

const statements = new Set([
  'Program',
  'If',
  'For',
  'Set',
  'Macro',
  'Break',
  'Continue',
  'CallStatement',
  'FilterStatement',
  'Comment',
  'StringLiteral',
]);

/** Puts every expression that a block writes out, and both sides of `~`, behind Python's `str`. */
function writeAsPython(node: unknown): void {
  if (Array.isArray(node)) return node.forEach(writeAsPython);
  if (node instanceof Map) return node.forEach((value, key) => [key, value].forEach(writeAsPython));
  if (typeof node !== 'object' || node === null) return;
  const own = node as Record<string, unknown>;
  Object.values(own).forEach(writeAsPython);
  for (const key of ['body', 'alternate', 'defaultBlock']) {
    const block = own[key];
    if (Array.isArray(block))
      own[key] = (block as Node[]).map((each) => (statements.has(each.type) ? each : asText(each)));
  }
  if (own['type'] === 'BinaryExpression' && (own['operator'] as Node).value === '~')
    for (const side of ['left', 'right']) own[side] = asText(own[side] as Node);
}

function asText(operand: Node): Node {
  return { type: 'FilterExpression', operand, filter: { type: 'Identifier', value: written } };
}

/** Python's `str` of a value that is no string. */
function pythonText(value: RuntimeValue): string {
  return value.type === 'UndefinedValue' ? '' : pythonRepr(value);
}

function pythonRepr(value: RuntimeValue): string {
  switch (value.type) {
    case 'NullValue':
      return 'None';
    case 'BooleanValue':
      return value.value === true ? 'True' : 'False';
    case 'UndefinedValue':
      return 'Undefined';
    case 'StringValue':
      return quoted(String(value.value));
    case 'ArrayValue':
      return `[${(value.value as RuntimeValue[]).map(pythonRepr).join(', ')}]`;
    case 'TupleValue': {
      const items = value.value as RuntimeValue[];
      return `(${items.map(pythonRepr).join(', ')}${items.length === 1 ? ',' : ''})`;
    }
    case 'ObjectValue': {
      const entries = [...(value.value as Map<string, RuntimeValue>)];
      return `{${entries.map(([key, own]) => `${quoted(key)}: ${pythonRepr(own)}`).join(', ')}}`;
    }
    default:
      return value.toString();
  }
}

function quoted(text: string): string {
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escapes: Readonly<Record<string, string>> = {
    '\\': '\\\\',
    '\n': '\\n',
    '\r': '\\r',
    '\t': '\\t',
    [mark]: `\\${mark}`,
  };
  return mark + Array.from(text, (letter) => escapes[letter] ?? letter).join('') + mark;
}

function range(start: number, stop?: number, step = 1): number[] {
  const [from, to] = stop === undefined ? [0, start] : [start, stop];
  return Array.from({ length: Math.max(0, Math.ceil((to - from) / step)) }, (_, at) => from + at * step);
}
