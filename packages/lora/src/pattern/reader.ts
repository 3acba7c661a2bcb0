import type { CharacterTest } from './characters.js';
import { ignoringCase } from './characters.js';
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

/** A pattern that is read from left to right, and what its parts share. */
export class PatternReader {
  at = 0;
  flags = noFlags;
  groups = 0;
  readonly names = new Map<string, number>();
  readonly open = new Set<number>();
  readonly characters: readonly string[];

  constructor(source: string) {
    this.characters = Array.from(source);
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
    if (!Array.from(text).every((each, offset) => this.characters[this.at + offset] === each)) return false;
    this.at += Array.from(text).length;
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
}
