import type { Token } from './lexer.js';
import { TemplateSyntaxError } from './lexer.js';
import type { Arguments, Expression } from './syntax.js';

const comparisons = new Set(['==', '!=', '<', '<=', '>', '>=']);
/** How deep expressions may lie within each other. */
const deepest = 200;

/** Reads tokens one by one; jinja2's grammar of expressions. */
export class ExpressionParser {
  protected readonly tokens: readonly Token[];
  protected at = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.tokens = tokens;
  }

  protected get current(): Token {
    return this.tokens[this.at] ?? { type: 'end', value: '', line: 0 };
  }

  protected fail(message: string): never {
    throw new TemplateSyntaxError(`line ${this.current.line}: ${message}`);
  }

  protected isName(...names: readonly string[]): boolean {
    return this.current.type === 'name' && names.includes(this.current.value);
  }

  protected isOperator(value: string): boolean {
    return this.current.type === 'operator' && this.current.value === value;
  }

  protected skipName(name: string): boolean {
    if (!this.isName(name)) return false;
    this.at++;
    return true;
  }

  protected skipOperator(value: string): boolean {
    if (!this.isOperator(value)) return false;
    this.at++;
    return true;
  }

  protected expectOperator(value: string): void {
    if (!this.skipOperator(value)) this.fail(`expected "${value}", got "${this.current.value}"`);
  }

  protected expectName(name?: string): string {
    const { type, value } = this.current;
    if (type !== 'name' || (name !== undefined && value !== name))
      this.fail(`expected ${name === undefined ? 'a name' : `"${name}"`}, got "${value}"`);
    this.at++;
    return value;
  }

  parseExpression(withCondition = true): Expression {
    if (++this.#depth > deepest) this.fail(`expressions more than ${deepest} deep`);
    const parsed = withCondition ? this.#condition() : this.#or();
    this.#depth--;
    return parsed;
  }

  /** An expression, or several with commas between them: a tuple. */
  parseTuple({ withCondition = true, inParentheses = false } = {}): Expression {
    const items: Expression[] = [];
    let isTuple = false;
    for (;;) {
      if (items.length > 0) this.expectOperator(',');
      if (this.#isTupleEnd()) break;
      items.push(this.parseExpression(withCondition));
      if (!this.isOperator(',')) break;
      isTuple = true;
    }
    const [only] = items;
    if (!isTuple && only !== undefined) return only;
    if (!isTuple && !inParentheses) this.fail(`expected an expression, got "${this.current.value}"`);
    return { kind: 'tuple', items };
  }

  #isTupleEnd(): boolean {
    const { type } = this.current;
    return (
      type === 'variableEnd' ||
      type === 'blockEnd' ||
      type === 'end' ||
      this.isOperator(')') ||
      this.isName('recursive')
    );
  }

  #condition(): Expression {
    let result = this.#or();
    while (this.skipName('if')) {
      const test = this.#or();
      const no = this.skipName('else') ? this.parseExpression() : undefined;
      result = { kind: 'condition', test, yes: result, ...(no === undefined ? {} : { no }) };
    }
    return result;
  }

  #or(): Expression {
    let left = this.#and();
    while (this.skipName('or')) left = { kind: 'or', left, right: this.#and() };
    return left;
  }

  #and(): Expression {
    let left = this.#not();
    while (this.skipName('and')) left = { kind: 'and', left, right: this.#not() };
    return left;
  }

  #not(): Expression {
    if (!this.isName('not')) return this.#compare();
    this.at++;
    if (++this.#depth > deepest) this.fail(`expressions more than ${deepest} deep`);
    const operand = this.#not();
    this.#depth--;
    return { kind: 'not', operand };
  }

  #compare(): Expression {
    const first = this.#sum();
    const rest: { op: string; operand: Expression }[] = [];
    for (;;) {
      const { type, value } = this.current;
      if (type === 'operator' && comparisons.has(value)) {
        this.at++;
        rest.push({ op: value, operand: this.#sum() });
      } else if (this.skipName('in')) rest.push({ op: 'in', operand: this.#sum() });
      else if (this.isName('not') && this.tokens[this.at + 1]?.value === 'in') {
        this.at += 2;
        rest.push({ op: 'not in', operand: this.#sum() });
      } else break;
    }
    return rest.length === 0 ? first : { kind: 'compare', first, rest };
  }

  #sum(): Expression {
    return this.#leftToRight(['+', '-'], () => this.#concat());
  }

  #concat(): Expression {
    const parts = [this.#product()];
    while (this.skipOperator('~')) parts.push(this.#product());
    const [only] = parts;
    return parts.length === 1 && only !== undefined ? only : { kind: 'concat', parts };
  }

  #product(): Expression {
    return this.#leftToRight(['*', '/', '//', '%'], () => this.#power());
  }

  #power(): Expression {
    return this.#leftToRight(['**'], () => this.#unary(true));
  }

  #leftToRight(operators: readonly string[], next: () => Expression): Expression {
    let left = next();
    while (this.current.type === 'operator' && operators.includes(this.current.value)) {
      const op = this.current.value;
      this.at++;
      left = { kind: 'binary', op, left, right: next() };
    }
    return left;
  }

  #unary(withFilter: boolean): Expression {
    if (++this.#depth > deepest) this.fail(`expressions more than ${deepest} deep`);
    let result: Expression;
    if (this.skipOperator('-')) result = { kind: 'neg', operand: this.#unary(false) };
    else if (this.skipOperator('+')) result = { kind: 'pos', operand: this.#unary(false) };
    else result = this.parsePrimary();
    result = this.#postfix(result);
    this.#depth--;
    return withFilter ? this.#filters(result) : result;
  }

  protected parsePrimary(): Expression {
    const { type, value } = this.current;
    if (type === 'operator') {
      if (value === '(') {
        this.at++;
        const inner = this.parseTuple({ inParentheses: true });
        this.expectOperator(')');
        return inner;
      }
      if (value === '[') return this.#list();
      if (value === '{') return this.#dict();
      this.fail(`unexpected "${value}"`);
    }
    if (type !== 'name' && type !== 'string' && type !== 'integer' && type !== 'float')
      this.fail(`unexpected ${type === 'end' ? 'end' : `"${value}"`}`);
    this.at++;
    if (type === 'name') return named(value);
    if (type === 'integer') return { kind: 'const', value: this.#integer(value) };
    if (type === 'float') return { kind: 'const', value: { float: Number(value.replaceAll('_', '')) } };
    let text = value;
    for (; this.current.type === 'string'; this.at++) text += this.current.value;
    return { kind: 'const', value: text };
  }

  #integer(text: string): number {
    const value = Number(text.replaceAll('_', ''));
    if (!Number.isSafeInteger(value)) this.fail(`the number ${text} is too large`);
    return value;
  }

  #list(): Expression {
    this.expectOperator('[');
    const items: Expression[] = [];
    while (!this.isOperator(']')) {
      if (items.length > 0) this.expectOperator(',');
      if (this.isOperator(']')) break;
      items.push(this.parseExpression());
    }
    this.expectOperator(']');
    return { kind: 'list', items };
  }

  #dict(): Expression {
    this.expectOperator('{');
    const entries: [Expression, Expression][] = [];
    while (!this.isOperator('}')) {
      if (entries.length > 0) this.expectOperator(',');
      if (this.isOperator('}')) break;
      const key = this.parseExpression();
      this.expectOperator(':');
      entries.push([key, this.parseExpression()]);
    }
    this.expectOperator('}');
    return { kind: 'dict', entries };
  }

  #postfix(given: Expression): Expression {
    let result = given;
    for (;;) {
      if (this.skipOperator('.')) result = this.#attribute(result);
      else if (this.isOperator('[')) result = this.#subscript(result);
      else if (this.isOperator('(')) result = { kind: 'call', callee: result, args: this.parseArguments() };
      else return result;
    }
  }

  #attribute(object: Expression): Expression {
    const { type, value } = this.current;
    if (type !== 'name' && type !== 'integer') this.fail('expected a name or a number');
    this.at++;
    if (type === 'name') return { kind: 'attribute', object, name: value };
    return { kind: 'item', object, key: { kind: 'const', value: this.#integer(value) } };
  }

  #subscript(object: Expression): Expression {
    this.expectOperator('[');
    const bounds: (Expression | undefined)[] = [];
    let isSlice = false;
    if (!this.isOperator(':')) bounds.push(this.parseExpression());
    else bounds.push(undefined);
    while (this.skipOperator(':')) {
      isSlice = true;
      const isEmpty = this.isOperator(':') || this.isOperator(']');
      bounds.push(isEmpty ? undefined : this.parseExpression());
    }
    if (this.isOperator(',')) this.fail('subscripts of several parts are not known here');
    this.expectOperator(']');
    if (bounds.length > 3) this.fail('a slice of more than three parts');
    const [key, stop, step] = bounds;
    if (!isSlice) return key === undefined ? this.fail('an empty subscript') : { kind: 'item', object, key };
    return { kind: 'slice', object, bounds: [key, stop, step] };
  }

  protected parseArguments(): Arguments {
    this.expectOperator('(');
    const positional: Expression[] = [];
    const names: [string, Expression][] = [];
    let spread: Expression | undefined;
    let spreadNamed: Expression | undefined;
    let isFirst = true;
    while (!this.isOperator(')')) {
      if (!isFirst) {
        this.expectOperator(',');
        if (this.isOperator(')')) break;
      }
      isFirst = false;
      if (this.skipOperator('**')) spreadNamed = this.parseExpression();
      else if (this.skipOperator('*')) spread = this.parseExpression();
      else if (this.current.type === 'name' && this.tokens[this.at + 1]?.value === '=') {
        const key = this.expectName();
        this.expectOperator('=');
        names.push([key, this.parseExpression()]);
      } else {
        if (names.length > 0 || spread !== undefined || spreadNamed !== undefined)
          this.fail('a positional argument behind named ones');
        positional.push(this.parseExpression());
      }
    }
    this.expectOperator(')');
    return {
      positional,
      named: names,
      ...(spread === undefined ? {} : { spread }),
      ...(spreadNamed === undefined ? {} : { spreadNamed }),
    };
  }

  #filters(given: Expression): Expression {
    let result = given;
    for (;;) {
      if (this.isOperator('|')) result = this.parseFilter(result);
      else if (this.isName('is')) result = this.#test(result);
      else if (this.isOperator('(')) result = { kind: 'call', callee: result, args: this.parseArguments() };
      else return result;
    }
  }

  protected parseFilter(operand: Expression, isInline = false): Expression {
    let result = operand;
    let inline = isInline;
    while (inline || this.skipOperator('|')) {
      inline = false;
      const name = this.#dotted();
      const args = this.isOperator('(') ? this.parseArguments() : noArguments;
      result = { kind: 'filter', name, operand: result, args };
    }
    return result;
  }

  #dotted(): string {
    let name = this.expectName();
    while (this.skipOperator('.')) name += `.${this.expectName()}`;
    return name;
  }

  #test(operand: Expression): Expression {
    this.expectName('is');
    const isNegated = this.skipName('not');
    const name = this.#dotted();
    const result: Expression = { kind: 'test', name, operand, args: this.#testArguments() };
    return isNegated ? { kind: 'not', operand: result } : result;
  }

  #testArguments(): Arguments {
    if (this.isOperator('(')) return this.parseArguments();
    const { type, value } = this.current;
    const begins =
      type === 'name' || type === 'string' || type === 'integer' || type === 'float' || value === '[' || value === '{';
    if (!begins || (type === 'operator' && value !== '[' && value !== '{') || this.isName('else', 'or', 'and'))
      return noArguments;
    if (this.isName('is')) this.fail('tests with "is" cannot be chained');
    return { ...noArguments, positional: [this.#postfix(this.parsePrimary())] };
  }
}

const noArguments: Arguments = { positional: [], named: [] };

function named(name: string): Expression {
  if (name === 'true' || name === 'True') return { kind: 'const', value: true };
  if (name === 'false' || name === 'False') return { kind: 'const', value: false };
  if (name === 'none' || name === 'None') return { kind: 'const', value: null };
  return { kind: 'name', name };
}
