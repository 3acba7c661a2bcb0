import type { CharacterTest } from './characters.js';
import { ignoringCase, isNewline } from './characters.js';
import { parseEscape, parseSetEscape } from './escapes.js';
import { parseOpening } from './openings.js';
import { PatternReader } from './reader.js';
import type { Syntax } from './syntax.js';

/** Groups within groups: deeper than anybody writes them. */
const deepest = 100;

/** Parses as Python's `re._parser` does. */
class PatternParser {
  private depth = 0;

  constructor(private readonly reader: PatternReader) {}

  whole(): Syntax {
    const syntax = this.choice(true);
    if (this.reader.next !== undefined) throw this.reader.error('unbalanced parenthesis');
    return syntax;
  }

  /** Branches up to a closing parenthesis, which is left. */
  choice(first = false): Syntax {
    if (++this.depth > deepest) throw this.reader.error(`groups nested deeper than ${deepest}`);
    const branches = [this.branch(first)];
    while (this.reader.skip('|')) branches.push(this.branch(false));
    this.depth--;
    const [only] = branches;
    return branches.length === 1 && only !== undefined ? only : { type: 'choice', branches };
  }

  private branch(first: boolean): Syntax {
    const items: Syntax[] = [];
    for (;;) {
      if (this.reader.flags.verbose) this.passComments();
      const { next } = this.reader;
      if (next === undefined || next === '|' || next === ')') return { type: 'sequence', items };
      if (!this.repeated(items)) items.push(...this.item(first && items.length === 0));
    }
  }

  /** With the flag x, white space and what follows a # are no part of a pattern. */
  private passComments(): void {
    for (;;) {
      this.reader.while(/\s/);
      if (!this.reader.skip('#')) return;
      this.reader.while(/[^\n]/);
    }
  }

  private item(first: boolean): Syntax[] {
    const { flags } = this.reader;
    const next = this.reader.take();
    switch (next) {
      case '\\':
        return [parseEscape(this.reader)];
      case '[':
        return [this.set()];
      case '(':
        return parseOpening(this.reader, first, () => this.choice());
      case '.':
        return [{ type: 'character', test: flags.dotAll ? () => true : (code) => !isNewline(code) }];
      case '^':
        return [{ type: 'place', place: flags.multiline ? 'lineStart' : 'start', ascii: false }];
      case '$':
        return [{ type: 'place', place: flags.multiline ? 'lineEnd' : 'lastLine', ascii: false }];
      default:
        return [this.reader.literal(next.codePointAt(0) ?? 0)];
    }
  }

  /** Repeats the last item where a quantifier comes next. A brace that begins none stands for itself. */
  private repeated(items: Syntax[]): boolean {
    const start = this.reader.at;
    const bounds = this.quantifier();
    if (bounds === undefined) {
      this.reader.at = start;
      return false;
    }
    const [min, max] = bounds;
    const item = items.pop();
    if (item === undefined || item.type === 'place') throw this.reader.error('nothing to repeat');
    if (item.type === 'repeat' || (item.type === 'atomic' && this.possessive.has(item)))
      throw this.reader.error('multiple repeat');
    const lazy = this.reader.skip('?');
    const repeat: Syntax = { type: 'repeat', item, min, max, lazy };
    if (lazy || !this.reader.skip('+')) items.push(repeat);
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
    if (this.reader.skip('*')) return [0, Infinity];
    if (this.reader.skip('+')) return [1, Infinity];
    if (this.reader.skip('?')) return [0, 1];
    if (!this.reader.skip('{') || this.reader.next === '}') return undefined;
    const low = this.reader.while(/[0-9]/);
    const high = this.reader.skip(',') ? this.reader.while(/[0-9]/) : low;
    if (!this.reader.skip('}')) return undefined;
    const [min, max] = [low === '' ? 0 : Number(low), high === '' ? Infinity : Number(high)];
    if (max < min) throw this.reader.error('min repeat greater than max repeat');
    return [min, max];
  }

  /** `[…]` */
  private set(): Syntax {
    const negative = this.reader.skip('^');
    const tests: CharacterTest[] = [];
    for (let first = true; first || this.reader.next !== ']'; first = false) {
      const low = this.setItem();
      if (this.reader.next !== '-' || this.reader.characters[this.reader.at + 1] === ']') tests.push(testOf(low));
      else {
        this.reader.take();
        const high = this.setItem();
        if (typeof low !== 'number' || typeof high !== 'number' || high < low)
          throw this.reader.error('bad character range');
        tests.push((code) => code >= low && code <= high);
      }
    }
    this.reader.take();
    const any: CharacterTest = (code) => tests.some((test) => test(code));
    const found = this.reader.flags.ignoreCase ? ignoringCase(any) : any;
    return { type: 'character', test: negative ? (code) => !found(code) : found };
  }

  private setItem(): number | CharacterTest {
    const next = this.reader.take('unterminated character set');
    return next === '\\' ? parseSetEscape(this.reader) : (next.codePointAt(0) ?? 0);
  }
}

function testOf(item: number | CharacterTest): CharacterTest {
  return typeof item === 'number' ? (code) => code === item : item;
}

/** @throws PatternError */
export function parsePattern(source: string): { readonly syntax: Syntax; readonly names: ReadonlyMap<string, number> } {
  const reader = new PatternReader(source);
  return { syntax: new PatternParser(reader).whole(), names: reader.names };
}
