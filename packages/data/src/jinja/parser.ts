import { ExpressionParser } from './expressionParser.js';
import { tokenize } from './lexer.js';
import type { Expression, MacroSyntax, Statement, Target } from './syntax.js';

/**
 * A chat template's syntax tree, as transformers sets jinja2 up: trim_blocks, lstrip_blocks, loop controls and
 * `{% generation %}`.
 *
 * @throws TemplateSyntaxError
 */
export function parseTemplate(source: string): readonly Statement[] {
  return new TemplateParser(tokenize(source)).parse();
}

const reserved = new Set(['true', 'false', 'none', 'True', 'False', 'None']);
const endless: readonly string[] = [];

class TemplateParser extends ExpressionParser {
  #depth = 0;
  #macros: { varargs: boolean; kwargs: boolean; caller: boolean }[] = [];

  parse(): readonly Statement[] {
    return this.#statements(endless);
  }

  /** Statements up to one of the given names of tags, which is left to be read. */
  #statements(ends: readonly string[]): Statement[] {
    if (++this.#depth > 100) this.fail('blocks more than 100 deep');
    const body: Statement[] = [];
    while (this.current.type !== 'end') {
      const { type, value } = this.current;
      this.at++;
      if (type === 'data') body.push({ kind: 'text', text: value });
      else if (type === 'variableBegin') {
        body.push({ kind: 'output', value: this.parseTuple() });
        this.#expectEnd('variableEnd');
      } else {
        if (this.isName(...ends)) {
          this.#depth--;
          return body;
        }
        body.push(this.#statement());
        this.#expectEnd('blockEnd');
      }
    }
    if (ends.length > 0) this.fail(`expected ${ends.map((name) => `"${name}"`).join(' or ')}, got the end`);
    this.#depth--;
    return body;
  }

  #expectEnd(type: 'variableEnd' | 'blockEnd'): void {
    if (this.current.type !== type) this.fail(`unexpected "${this.current.value}"`);
    this.at++;
  }

  /** A body up to its end tag, whose name is read. */
  #body(...ends: readonly string[]): { body: Statement[]; end: string } {
    this.#expectEnd('blockEnd');
    const body = this.#statements(ends);
    return { body, end: this.expectName() };
  }

  #statement(): Statement {
    const name = this.expectName();
    switch (name) {
      case 'if':
        return this.#if();
      case 'for':
        return this.#for();
      case 'set':
        return this.#set();
      case 'with':
        return this.#with();
      case 'macro': {
        const called = this.#targetName();
        return { kind: 'macro', macro: this.#macro(called, 'endmacro') };
      }
      case 'call':
        return this.#call();
      case 'filter': {
        const value = this.parseFilter({ kind: 'written' }, true);
        return { kind: 'filterBlock', value, body: this.#body('endfilter').body };
      }
      case 'generation':
        return { kind: 'generation', body: this.#body('endgeneration').body };
      case 'break':
        return { kind: 'break' };
      case 'continue':
        return { kind: 'continue' };
      default:
        return this.fail(`the tag "${name}" is not known here`);
    }
  }

  #if(): Statement {
    const branches: [Expression, Statement[]][] = [];
    let otherwise: Statement[] = [];
    for (;;) {
      const test = this.parseTuple({ withCondition: false });
      const { body, end } = this.#body('elif', 'else', 'endif');
      branches.push([test, body]);
      if (end === 'elif') continue;
      if (end === 'else') otherwise = this.#body('endif').body;
      return { kind: 'if', branches, otherwise };
    }
  }

  #for(): Statement {
    const target = this.#target(false);
    this.expectName('in');
    const items = this.parseTuple({ withCondition: false });
    const filter = this.skipName('if') ? this.parseExpression() : undefined;
    const isRecursive = this.skipName('recursive');
    const { body, end } = this.#body('endfor', 'else');
    const otherwise = end === 'else' ? this.#body('endfor').body : [];
    return { kind: 'for', target, items, isRecursive, body, otherwise, ...(filter === undefined ? {} : { filter }) };
  }

  #set(): Statement {
    const target = this.#target(true);
    if (this.skipOperator('=')) return { kind: 'set', target, value: this.parseTuple() };
    const value = this.isOperator('|') ? this.parseFilter({ kind: 'written' }) : ({ kind: 'written' } as const);
    return { kind: 'setBlock', target, value, body: this.#body('endset').body };
  }

  #with(): Statement {
    const bindings: [Target, Expression][] = [];
    while (this.current.type !== 'blockEnd') {
      if (bindings.length > 0) this.expectOperator(',');
      const target = this.#oneTarget(false);
      this.expectOperator('=');
      bindings.push([target, this.parseExpression()]);
    }
    return { kind: 'with', bindings, body: this.#body('endwith').body };
  }

  #macro(name: string, end: string): MacroSyntax {
    const parameters: [string, Expression | undefined][] = [];
    if (end === 'endmacro' || this.isOperator('(')) {
      this.expectOperator('(');
      while (!this.isOperator(')')) {
        if (parameters.length > 0) this.expectOperator(',');
        const parameter = this.#targetName();
        const fallback = this.skipOperator('=') ? this.parseExpression() : undefined;
        if (fallback === undefined && parameters.some(([, given]) => given !== undefined))
          this.fail('a parameter without a default behind one with');
        parameters.push([parameter, fallback]);
      }
      this.expectOperator(')');
    }
    const takes = { varargs: false, kwargs: false, caller: false };
    this.#macros.push(takes);
    const { body } = this.#body(end);
    this.#macros.pop();
    return { name, parameters, body, takes };
  }

  #call(): Statement {
    // Parameters of the caller come before the call.
    const start = this.at;
    let signature = -1;
    if (this.isOperator('(')) {
      signature = start;
      for (let open = 0; this.current.type !== 'end'; this.at++) {
        if (this.isOperator('(')) open++;
        if (this.isOperator(')') && --open === 0) break;
      }
      this.at++;
    }
    const call = this.parseExpression();
    if (call.kind !== 'call') this.fail('expected a call');
    const after = this.at;
    if (signature < 0) return { kind: 'callBlock', call, macro: this.#macro('caller', 'endcall') };
    this.at = signature;
    const parameters = this.#signature();
    this.at = after;
    return { kind: 'callBlock', call, macro: { ...this.#macro('caller', 'endcall'), parameters } };
  }

  #signature(): [string, Expression | undefined][] {
    const parameters: [string, Expression | undefined][] = [];
    this.expectOperator('(');
    while (!this.isOperator(')')) {
      if (parameters.length > 0) this.expectOperator(',');
      const parameter = this.#targetName();
      parameters.push([parameter, this.skipOperator('=') ? this.parseExpression() : undefined]);
    }
    this.expectOperator(')');
    return parameters;
  }

  protected override parsePrimary(): Expression {
    const parsed = super.parsePrimary();
    const macro = this.#macros.at(-1);
    if (macro !== undefined && parsed.kind === 'name') {
      if (parsed.name === 'varargs') macro.varargs = true;
      if (parsed.name === 'kwargs') macro.kwargs = true;
      if (parsed.name === 'caller') macro.caller = true;
    }
    return parsed;
  }

  #target(withNamespace: boolean): Target {
    const items = [this.#oneTarget(withNamespace)];
    let isTuple = false;
    while (this.skipOperator(',')) {
      isTuple = true;
      if (this.current.type !== 'name' && !this.isOperator('(')) break;
      if (this.isName('in')) break;
      items.push(this.#oneTarget(withNamespace));
    }
    const [only] = items;
    return !isTuple && only !== undefined ? only : { kind: 'tuple', items };
  }

  #oneTarget(withNamespace: boolean): Target {
    if (this.skipOperator('(')) {
      const inner = this.#target(withNamespace);
      this.expectOperator(')');
      return inner;
    }
    const name = this.#targetName();
    if (withNamespace && this.skipOperator('.')) return { kind: 'namespace', name, attribute: this.expectName() };
    return { kind: 'name', name };
  }

  #targetName(): string {
    const name = this.expectName();
    if (reserved.has(name)) this.fail(`"${name}" cannot be assigned to`);
    return name;
  }
}
