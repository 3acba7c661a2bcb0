import type { CharacterTest } from './characters.js';
import { ignoringCase, isNewline } from './characters.js';
import { parseEscape, parseSetEscape } from './escapes.js';
import { parseOpening } from './openings.js';
import type { Syntax } from './syntax.js';
import { PatternError } from './syntax.js';

/** Flags that hold at a place of a pattern. */
export interface Flags {
  readonly ignoreCase: boolean;
  readonly multiline: boolean;
  readonly dotAll: boolean;
  readonly verbose: boolean;
  readonly ascii: boolean;
}

const noFlags: Flags = { ignoreCase: false, multiline: false, dotAll: false, verbose: false, ascii: false };

/** Groups within groups: as deep as no pattern of a person is. */
const deepest = 100;

/** Reads a pattern from left to right, as Python's `re._parser` does. */
export class PatternReader {
  at = 0;
  flags = noFlags;
  groups = 0;
  readonly names = new Map<string, number>();
  readonly open = new Set<number>();
  private depth = 0;
  private readonly characters: readonly string[];

  constructor(source: string) {
    this.characters = [...source];
  }

  get next(): string | undefined {
    return this.characters[this.at];
  }

  /** The next character, which there has to be. */
  take(missing = 'unexpected end of pattern'): string {
    const { next } = this;
    if (next === undefined) throw this.error(missing);
    this.at++;
    return next;
  }

  /** Whether this text comes next; it is then passed. */
  skip(text: string): boolean {
    if (![...text].every((each, offset) => this.characters[this.at + offset] === each)) return false;
    this.at += [...text].length;
    return true;
  }

  /** All that comes next and is of a kind. */
  while(test: RegExp, most = Infinity): string {
    let text = '';
    while (this.next !== undefined && test.test(this.next) && text.length < most) text += this.take();
    return text;
  }

  /** What stands before `end`, which is passed. */
  until(end: string): string {
    let text = '';
    while (!this.skip(end)) text += this.take(`missing ${end}, unterminated name`);
    return text;
  }

  error(message: string): PatternError {
    return new PatternError(`${message} at position ${this.at}`);
  }

  whole(): Syntax {
    const syntax = this.choice(true);
    if (this.next !== undefined) throw this.error('unbalanced parenthesis');
    return syntax;
  }

  /** Branches up to a closing parenthesis, which is left. */
  choice(first = false): Syntax {
    if (++this.depth > deepest) throw this.error(`groups nested deeper than ${deepest}`);
    const branches = [this.branch(first)];
    while (this.skip('|')) branches.push(this.branch(false));
    this.depth--;
    const [only] = branches;
    return branches.length === 1 && only !== undefined ? only : { type: 'choice', branches };
  }

  private branch(first: boolean): Syntax {
    const items: Syntax[] = [];
    for (;;) {
      if (this.flags.verbose) this.passComments();
      const { next } = this;
      if (next === undefined || next === '|' || next === ')') return { type: 'sequence', items };
      if (!this.repeated(items)) items.push(...this.item(first && items.length === 0));
    }
  }

  /** With the flag x, white space and what follows a # are no part of a pattern. */
  private passComments(): void {
    for (;;) {
      this.while(/\s/);
      if (!this.skip('#')) return;
      this.while(/[^\n]/);
    }
  }

  private item(first: boolean): Syntax[] {
    const { flags } = this;
    const next = this.take();
    switch (next) {
      case '\\':
        return [parseEscape(this)];
      case '[':
        return [this.set()];
      case '(':
        return parseOpening(this, first);
      case '.':
        return [{ type: 'character', test: flags.dotAll ? () => true : (code) => !isNewline(code) }];
      case '^':
        return [{ type: 'place', place: flags.multiline ? 'lineStart' : 'start', ascii: false }];
      case '$':
        return [{ type: 'place', place: flags.multiline ? 'lineEnd' : 'lastLine', ascii: false }];
      default:
        return [this.literal(next.codePointAt(0) ?? 0)];
    }
  }

  literal(code: number): Syntax {
    return this.tested((other) => other === code, String.fromCodePoint(code));
  }

  tested(test: CharacterTest, literal?: string): Syntax {
    const { ignoreCase } = this.flags;
    return {
      type: 'character',
      test: ignoreCase ? ignoringCase(test) : test,
      literal: ignoreCase ? undefined : literal,
    };
  }

  /** Repeats the last item where a quantifier comes next. A brace that is none stands for itself. */
  private repeated(items: Syntax[]): boolean {
    const start = this.at;
    const bounds = this.quantifier();
    if (bounds === undefined) {
      this.at = start;
      return false;
    }
    const [min, max] = bounds;
    const item = items.pop();
    if (item === undefined || item.type === 'place') throw this.error('nothing to repeat');
    if (item.type === 'repeat' || (item.type === 'atomic' && this.possessive.has(item)))
      throw this.error('multiple repeat');
    const lazy = this.skip('?');
    const repeat: Syntax = { type: 'repeat', item, min, max, lazy };
    if (lazy || !this.skip('+')) items.push(repeat);
    else {
      const atomic: Syntax = { type: 'atomic', item: repeat };
      this.possessive.add(atomic);
      items.push(atomic);
    }
    return true;
  }

  /** Atomic groups that are written as quantifiers (`a++`), which take no other. */
  private readonly possessive = new Set<Syntax>();

  private quantifier(): [min: number, max: number] | undefined {
    if (this.skip('*')) return [0, Infinity];
    if (this.skip('+')) return [1, Infinity];
    if (this.skip('?')) return [0, 1];
    if (!this.skip('{') || this.next === '}') return undefined;
    const low = this.while(/[0-9]/);
    const high = this.skip(',') ? this.while(/[0-9]/) : low;
    if (!this.skip('}')) return undefined;
    const [min, max] = [low === '' ? 0 : Number(low), high === '' ? Infinity : Number(high)];
    if (max < min) throw this.error('min repeat greater than max repeat');
    return [min, max];
  }

  /** `[…]` */
  private set(): Syntax {
    const negative = this.skip('^');
    const tests: CharacterTest[] = [];
    for (let first = true; first || this.next !== ']'; first = false) {
      const low = this.setItem();
      if (this.next !== '-' || this.characters[this.at + 1] === ']') tests.push(testOf(low));
      else {
        this.take();
        const high = this.setItem();
        if (typeof low !== 'number' || typeof high !== 'number' || high < low) throw this.error('bad character range');
        tests.push((code) => code >= low && code <= high);
      }
    }
    this.take();
    const any: CharacterTest = (code) => tests.some((test) => test(code));
    const found = this.flags.ignoreCase ? ignoringCase(any) : any;
    return { type: 'character', test: negative ? (code) => !found(code) : found };
  }

  private setItem(): number | CharacterTest {
    const next = this.take('unterminated character set');
    return next === '\\' ? parseSetEscape(this) : (next.codePointAt(0) ?? 0);
  }
}

function testOf(item: number | CharacterTest): CharacterTest {
  return typeof item === 'number' ? (code) => code === item : item;
}

/** @throws PatternError */
export function parsePattern(source: string): { readonly syntax: Syntax; readonly names: ReadonlyMap<string, number> } {
  const reader = new PatternReader(source);
  return { syntax: reader.whole(), names: reader.names };
}
