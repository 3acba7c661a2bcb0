/** What jinja2 calls a syntax error, and what a template asks for that is not known here. */
export class TemplateSyntaxError extends Error {}

export interface Token {
  readonly type:
    | 'data'
    | 'variableBegin'
    | 'variableEnd'
    | 'blockBegin'
    | 'blockEnd'
    | 'name'
    | 'string'
    | 'integer'
    | 'float'
    | 'operator'
    | 'end';
  readonly value: string;
  readonly line: number;
}

const opening = /\{%([-+]?)\s*raw\s*(?:-%\}\s*|%\})|\{\{([-+]?)|\{%([-+]?)|\{#([-+]?)/gu;
const rawEnd = /\{%([-+]?)\s*endraw\s*(?:\+%\}|-%\}\s*|%\}\n?)/gu;
const commentEnd = /\+#\}|-#\}\s*|#\}\n?/gu;
const blockEnd = /(?:\+%\}|-%\}\s*|%\}\n?)/uy;
const variableEnd = /(?:-\}\}\s*|\}\})/uy;
const space = /\s+/uy;
const float = /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?[eE][+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/uy;
const integer = /0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0[xX](?:_?[\da-fA-F])+|[1-9](?:_?\d)*|0(?:_?0)*/uy;
const name = /[\p{ID_Start}_][\p{ID_Continue}]*/uy;
const string = /'[^'\\]*(?:\\[\s\S][^'\\]*)*'|"[^"\\]*(?:\\[\s\S][^"\\]*)*"/uy;
const operator = /\*\*|\/\/|==|!=|>=|<=|[-+*/%~[\](){}<>=.:|,;]/uy;
const closers: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };

/**
 * The tokens of a template as jinja2's lexer has them with `trim_blocks` and `lstrip_blocks`: a line break behind a
 * block goes, and so do blanks before one that nothing else stands before on its line.
 */
export function tokenize(given: string): Token[] {
  return new Lexer(given).run();
}

class Lexer {
  readonly #source: string;
  readonly #tokens: Token[] = [];
  #at = 0;
  #line = 1;
  /** Whether what comes next begins a line. */
  #startsLine = true;

  constructor(given: string) {
    const lines = given.replace(/\r\n|\r/g, '\n');
    this.#source = lines.endsWith('\n') ? lines.slice(0, -1) : lines;
  }

  run(): Token[] {
    while (this.#at < this.#source.length) {
      opening.lastIndex = this.#at;
      const found = opening.exec(this.#source);
      if (found === null) {
        this.#data(this.#source.slice(this.#at));
        break;
      }
      const [whole, raw, variable, block, comment] = found;
      const isVariable = variable !== undefined;
      this.#text(this.#source.slice(this.#at, found.index), raw ?? variable ?? block ?? comment ?? '', isVariable);
      this.#move(found.index + whole.length);
      if (raw !== undefined) this.#raw();
      else if (comment !== undefined) this.#comment();
      else this.#code(isVariable);
    }
    this.#tokens.push({ type: 'end', value: '', line: this.#line });
    return this.#tokens;
  }

  /** Text before a tag, stripped as the tag says. */
  #text(text: string, sign: string, isVariable: boolean): void {
    let kept = text;
    if (sign === '-') kept = text.replace(/\s+$/u, '');
    else if (sign !== '+' && !isVariable) {
      const lineStart = text.lastIndexOf('\n') + 1;
      if ((lineStart > 0 || this.#startsLine) && /^\s+$/u.test(text.slice(lineStart))) kept = text.slice(0, lineStart);
    }
    this.#data(kept);
  }

  #data(text: string): void {
    if (text !== '') this.#tokens.push({ type: 'data', value: text, line: this.#line });
  }

  #move(to: number): void {
    for (let at = this.#at; at < to; at++) if (this.#source.charCodeAt(at) === 10) this.#line++;
    this.#startsLine = to > 0 && this.#source.charCodeAt(to - 1) === 10;
    this.#at = to;
  }

  #raw(): void {
    rawEnd.lastIndex = this.#at;
    const found = rawEnd.exec(this.#source);
    if (found === null) throw new TemplateSyntaxError(`line ${this.#line}: missing end of raw directive`);
    this.#text(this.#source.slice(this.#at, found.index), found[1] ?? '', false);
    this.#move(found.index + found[0].length);
  }

  #comment(): void {
    commentEnd.lastIndex = this.#at;
    const found = commentEnd.exec(this.#source);
    if (found === null) throw new TemplateSyntaxError(`line ${this.#line}: missing end of comment tag`);
    this.#move(found.index + found[0].length);
  }

  #code(isVariable: boolean): void {
    this.#push(isVariable ? 'variableBegin' : 'blockBegin', '');
    const end = isVariable ? variableEnd : blockEnd;
    const open: string[] = [];
    for (;;) {
      if (open.length === 0) {
        const found = this.#match(end);
        if (found !== undefined) return this.#push(isVariable ? 'variableEnd' : 'blockEnd', '');
      }
      if (this.#at >= this.#source.length) throw new TemplateSyntaxError(`line ${this.#line}: a tag without an end`);
      if (this.#match(space) !== undefined) continue;
      this.#expressionToken(open);
    }
  }

  #expressionToken(open: string[]): void {
    for (const [type, pattern] of expressionTokens) {
      const found = this.#match(pattern);
      if (found === undefined) continue;
      const closer = type === 'operator' ? closers[found] : undefined;
      if (closer !== undefined) open.push(closer);
      else if (type === 'operator' && /[)\]}]/.test(found) && open.pop() !== found)
        throw new TemplateSyntaxError(`line ${this.#line}: unexpected "${found}"`);
      return this.#push(type, type === 'string' ? unescape(found.slice(1, -1)) : found);
    }
    throw new TemplateSyntaxError(`line ${this.#line}: unexpected "${this.#source.charAt(this.#at)}"`);
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#source)?.[0];
    if (found === undefined) return undefined;
    this.#move(this.#at + found.length);
    return found;
  }

  #push(type: Token['type'], value: string): void {
    this.#tokens.push({ type, value, line: this.#line });
  }
}

const expressionTokens = [
  ['float', float],
  ['integer', integer],
  ['name', name],
  ['string', string],
  ['operator', operator],
] as const;

const simpleEscapes: Readonly<Record<string, string>> = {
  '\n': '',
  '\\': '\\',
  "'": "'",
  '"': '"',
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/** Python's escapes of a string literal; others stay as they are. */
function unescape(text: string): string {
  return text.replace(
    /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{1,3})|(N\{[^}]*\})|([\s\S]))/gu,
    (...found: (string | undefined)[]) => {
      const [whole = '', x, u, long, octal, named, other] = found;
      const hex = x ?? u ?? long;
      if (hex !== undefined) {
        const code = parseInt(hex, 16);
        if (code >= 0xd800 && code <= 0xdfff)
          throw new TemplateSyntaxError(`half a character (${whole}) is not known here`);
        return String.fromCodePoint(code);
      }
      if (octal !== undefined) return String.fromCodePoint(parseInt(octal, 8));
      if (named !== undefined || (other !== undefined && /[xuUN]/.test(other)))
        throw new TemplateSyntaxError(`the escape ${whole} is not known`);
      return simpleEscapes[other ?? ''] ?? whole;
    },
  );
}
