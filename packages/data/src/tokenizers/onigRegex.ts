import { foldedClass, foldedLiteral } from './onigCase.js';
import type { SequencePart } from './onigLoops.js';
import { loopsOf, mayOverlap } from './onigLoops.js';
import { loneWord, posixClass, propertyClass, shorthand } from './onigClasses.js';

/** A regular expression that cannot be said in JavaScript; the message names the construct. */
export class RegexRefusal extends Error {}

export interface TranslatedRegex {
  readonly regex: RegExp;
  /** One try at one place takes time by the length of the text, so that all may take its square. */
  readonly mayFail: boolean;
}

/** As often as this a thing is repeated without counting as a repeat without end. */
const longestCount = 64;

/**
 * Translates a regular expression of the Rust tokenizers (Oniguruma, Ruby's syntax, UTF-8) into JavaScript's: `$` and
 * `^` are ends and beginnings of lines, `.` is all but a line feed, classes are Unicode's, possessive quantifiers and
 * atomic groups hold what they took.
 *
 * @returns the expression, with the flags v and g, and how its time grows
 * @throws RegexRefusal where JavaScript has no equal
 */
export function translateRegex(source: string): TranslatedRegex {
  const translator = new Translator(source);
  const translated = translator.translate();
  try {
    return { regex: new RegExp(translated, 'vg'), mayFail: translator.mayFail };
  } catch (cause) {
    throw new RegexRefusal(cause instanceof Error ? cause.message : String(cause));
  }
}

/** The expression for exactly this text. */
export function literalRegex(text: string): RegExp {
  return new RegExp(Array.from(text, escaped).join(''), 'vg');
}

interface Flags {
  readonly ignoreCase: boolean;
  readonly dotAll: boolean;
}

interface Atom extends SequencePart {
  readonly source: string;
  /** Whether it holds a quantifier without an upper bound whose choices can be taken back. */
  readonly repeats: boolean;
  /** Whether it has alternatives that may match the same text: within a repeat there are too many ways to match. */
  readonly overlaps?: boolean;
  /** Look-arounds and anchors: quantifiers on them mean nothing. */
  readonly isAssertion?: boolean;
  readonly loops: number;
  readonly loop?: string | undefined;
  readonly isNullable?: boolean;
}

/** Any character; V8 (Node 20) matches `[^]{3}` wrongly with the flag v. */
const any = '[\\s\\S]';
const lineStart = `(?:(?<!${any})|(?<=\\n)(?=${any}))`;
const lineEnd = '(?![^\\n])';
const boundary = `(?:(?<=[${loneWord}])(?![${loneWord}])|(?<![${loneWord}])(?=[${loneWord}]))`;
const anchors: Readonly<Record<string, string>> = {
  A: '(?<![\\s\\S])',
  z: '(?![\\s\\S])',
  Z: '(?=\\n?(?![\\s\\S]))',
  b: boundary,
  B: `(?!${boundary})`,
};
const controls: Readonly<Record<string, string>> = {
  t: '\t',
  n: '\n',
  r: '\r',
  f: '\f',
  v: '\v',
  a: '\u0007',
  e: '\u001b',
};

class Translator {
  readonly #source: string;
  #at = 0;
  #atomics = 0;
  /** Whether a repeat is taken back where what follows it fails. */
  mayFail = false;

  constructor(source: string) {
    this.#source = source;
  }

  translate(): string {
    const { source } = this.#alternatives({ ignoreCase: false, dotAll: false });
    if (this.#at < this.#source.length) throw new RegexRefusal('a ")" that closes nothing');
    return source;
  }

  #alternatives(given: Flags): Atom {
    let flags = given;
    let source = '';
    let open = 0;
    let [repeats, overlaps] = [false, false];
    const branches: Atom[][] = [[]];
    while (this.#at < this.#source.length && this.#peek() !== ')') {
      if (this.#take('|')) {
        source += '|';
        branches.push([]);
        continue;
      }
      const switched = this.#flagSwitch(flags);
      if (switched !== undefined) {
        // Flags hold to the end of the group, alternatives included.
        flags = switched;
        source += '(?:';
        open++;
        continue;
      }
      const atom = this.#quantified(this.#atom(flags));
      source += atom.source;
      repeats ||= atom.repeats;
      overlaps ||= atom.overlaps === true;
      branches.at(-1)?.push(atom);
    }
    return {
      source: source + ')'.repeat(open),
      repeats,
      overlaps: overlaps || mayOverlap(branches.map((atoms) => atoms.map((atom) => atom.source))),
      loops: Math.max(0, ...branches.map((atoms) => this.#loopsOf(atoms))),
      isNullable: branches.some((atoms) => atoms.every(({ isNullable }) => isNullable === true)),
    };
  }

  #loopsOf(atoms: readonly Atom[]): number {
    const { loops, afterLoops } = loopsOf(atoms);
    if (afterLoops > 1)
      throw new RegexRefusal('repeats of the same characters before what may fail, whose time has no bound');
    if (afterLoops > 0) this.mayFail = true;
    return loops;
  }

  #atom(flags: Flags): Atom {
    const character = this.#next();
    if (character === '(') return this.#group(flags);
    if (character === '[') return plain(this.#bracket(flags));
    if (character === '.') return plain(flags.dotAll ? '[\\s\\S]' : '[^\\n]');
    if (character === '^') return anchor(lineStart);
    if (character === '$') return anchor(lineEnd);
    if (character === '\\') return this.#escape(flags);
    if (character === '*' || character === '+' || character === '?')
      throw new RegexRefusal(`"${character}" at nothing`);
    return plain(this.#literal(character, flags));
  }

  #literal(character: string, { ignoreCase }: Flags): string {
    if (!ignoreCase) return escaped(character);
    const folded = foldedLiteral(character, this.#source.slice(this.#at));
    if (folded === undefined) throw new RegexRefusal(`"${character}" without regard to case`);
    return folded.length === 1 ? escaped(folded[0] ?? '') : `[${folded.map(escaped).join('')}]`;
  }

  #escape(flags: Flags): Atom {
    const name = this.#peek();
    const at = anchors[name];
    if (at !== undefined) {
      this.#at++;
      return anchor(at);
    }
    if (name === 'R') {
      this.#at++;
      return plain('(?:\\r\\n|[\\n\\v\\f\\r\\u0085\\u2028\\u2029])');
    }
    if (/[1-9GKXkgONyY]/.test(name)) throw new RegexRefusal(`"\\${name}"`);
    if (name === 'w' || name === 'W') {
      this.#at++;
      return plain(`[${name === 'w' ? '' : '^'}${loneWord}]`);
    }
    const set = this.#classEscape();
    if (set !== undefined) return plain(set);
    return plain(this.#literal(this.#escapedCharacter(), flags));
  }

  /** `\w`, `\p{…}` and their like, as a class; undefined where the escape is a character. */
  #classEscape(): string | undefined {
    const name = this.#peek();
    const known = shorthand[name.toLowerCase()];
    if (known !== undefined && /[wdshWDSH]/.test(name)) {
      this.#at++;
      return name === name.toLowerCase() ? `[${known}]` : `[^${known}]`;
    }
    if (name !== 'p' && name !== 'P') return undefined;
    const found = /^[pP]\{(\^?)([^}]*)\}/.exec(this.#source.slice(this.#at, this.#at + 80));
    if (found === null) throw new RegexRefusal(`"\\${name}" without a name in braces`);
    const [whole, not, property = ''] = found;
    const contents = propertyClass(property);
    if (contents === undefined) throw new RegexRefusal(`"\\${whole}"`);
    this.#at += whole.length;
    return (name === 'P') !== (not === '^') ? `[^${contents}]` : `[${contents}]`;
  }

  #escapedCharacter(): string {
    const rest = this.#source.slice(this.#at, this.#at + 12);
    const code = /^x\{([0-9a-fA-F]{1,8})\}|^x([0-9a-fA-F]{1,2})|^u([0-9a-fA-F]{4})|^(0[0-7]{0,2})/.exec(rest);
    if (code !== null) {
      this.#at += code[0].length;
      return String.fromCodePoint(code[4] === undefined ? parseInt(code.slice(1).join(''), 16) : parseInt(code[4], 8));
    }
    const character = this.#next();
    if (character === '') throw new RegexRefusal('a "\\" at the end');
    if (/[xucCM]/.test(character)) throw new RegexRefusal(`"\\${character}"`);
    return controls[character] ?? character;
  }

  #flagSwitch(flags: Flags): Flags | undefined {
    const found = /^\(\?([a-zA-Z]*)(?:-([a-zA-Z]+))?\)/.exec(this.#source.slice(this.#at, this.#at + 16));
    if (found === null) return undefined;
    this.#at += found[0].length;
    return withFlags(flags, found[1] ?? '', found[2] ?? '');
  }

  #group(flags: Flags): Atom {
    const rest = this.#source.slice(this.#at, this.#at + 64);
    if (rest.startsWith('?#')) {
      this.#at = this.#source.indexOf(')', this.#at) + 1;
      if (this.#at === 0) throw new RegexRefusal('a comment without an end');
      return plain('');
    }
    const look = /^\?(?:<?[=!])/.exec(rest)?.[0];
    const flagged = /^\?([a-zA-Z]*)(?:-([a-zA-Z]+))?:/.exec(rest);
    const named = /^\?<[a-zA-Z_]\w*>/.exec(rest)?.[0];
    const isAtomic = rest.startsWith('?>');
    const opening = look ?? flagged?.[0] ?? named ?? (isAtomic ? '?>' : '');
    if (opening === '' && rest.startsWith('?')) throw new RegexRefusal(`the group "(${rest.slice(0, 3)}"`);
    this.#at += opening.length;
    const inner = this.#alternatives(flagged === null ? flags : withFlags(flags, flagged[1] ?? '', flagged[2] ?? ''));
    if (!this.#take(')')) throw new RegexRefusal('a group without an end');
    if (look !== undefined) return { ...anchor(`(${look}${inner.source})`), repeats: false };
    if (isAtomic) return { ...this.#atomic(inner.source), isNullable: inner.isNullable };
    return { ...inner, source: `(?:${inner.source})` };
  }

  /** What was matched stays matched: a look-ahead never takes back a choice. */
  #atomic(source: string): Atom {
    const name = `held${this.#atomics++}`;
    return { source: `(?:(?=(?<${name}>${source}))\\k<${name}>)`, repeats: false, loops: 0 };
  }

  #quantified(atom: Atom): Atom {
    let result = atom;
    for (;;) {
      const found = /^(?:([*+?])([+?]?)|\{(\d*)(,?)(\d*)\}(\??))/.exec(this.#source.slice(this.#at, this.#at + 32));
      if (found === null) return result;
      const [whole, sign, mode, low = '', comma = '', high = '', lazy = ''] = found;
      if (sign === undefined && low === '' && high === '') return result;
      if (result.isAssertion === true) throw new RegexRefusal(`"${whole}" behind a place instead of text`);
      this.#at += whole.length;
      const isOpen = sign === '*' || sign === '+' || (sign === undefined && comma !== '' && high === '');
      const isHeld = sign !== undefined && mode === '+';
      if (isOpen && result.overlaps === true && !isHeld)
        throw new RegexRefusal('alternatives that overlap within a repeat, whose time has no bound');
      if (isOpen && result.repeats) throw new RegexRefusal('repeats within a repeat, whose time has no bound');
      const body = `(?:${result.source})`;
      const isNullable =
        result.isNullable === true || sign === '*' || sign === '?' || Number(low || (sign ? 1 : 0)) === 0;
      const isLoop = isOpen || (comma !== '' && Number(high) - Number(low) > longestCount);
      // What repeats and comes several times are several repeats side by side.
      const loops = isLoop ? Math.max(1, 2 * result.loops) : result.loops * (sign === '?' ? 1 : 2);
      const loop = isLoop && result.loops === 0 ? result.source : undefined;
      const repeated = { repeats: result.repeats || isOpen, isNullable, loops, loop };
      if (sign !== undefined && mode === '+') result = { ...this.#atomic(`${body}${sign}`), isNullable };
      else if (sign !== undefined) result = { ...result, ...repeated, source: `${body}${sign}${mode}` };
      // Ruby reads `{n}?` as "n times or not at all".
      else if (comma === '' && lazy !== '') result = { ...result, source: `(?:${body}{${low}})?`, isNullable: true };
      else {
        const bounds = comma === '' ? low : `${low === '' ? '0' : low},${high}`;
        result = { ...result, ...repeated, source: `${body}{${bounds}}${lazy}` };
      }
    }
  }

  /** A bracketed class, behind its `[`. */
  #bracket(flags: Flags): string {
    const isNegated = this.#take('^');
    const sets: string[] = [];
    let contents = '';
    let isFirst = true;
    for (;;) {
      if (this.#at >= this.#source.length) throw new RegexRefusal('a class without an end');
      if (this.#source.startsWith('&&', this.#at)) {
        this.#at += 2;
        sets.push(contents);
        contents = '';
        continue;
      }
      if (this.#peek() === ']' && !isFirst) break;
      isFirst = false;
      contents += this.#classMember(flags);
    }
    this.#at++;
    const all = [...sets, contents];
    if (all.some((set) => set === '')) throw new RegexRefusal('an empty class');
    const joined = all.length === 1 ? contents : all.map((set) => `[${set}]`).join('&&');
    return `[${isNegated ? '^' : ''}${joined}]`;
  }

  #classMember(flags: Flags): string {
    if (this.#peek() === '[') {
      const named = /^\[:(\^?)(\w+):\]/.exec(this.#source.slice(this.#at, this.#at + 24));
      const contents = named === null ? undefined : posixClass(named[2] ?? '');
      if (named !== null && contents !== undefined) {
        this.#at += named[0].length;
        return named[1] === '^' ? `[^${contents}]` : `[${contents}]`;
      }
      this.#at++;
      return this.#bracket(flags);
    }
    const set = this.#classSet();
    if (set !== undefined) return set;
    const from = this.#classCharacter();
    if (this.#peek() !== '-' || /[\]&]/.test(this.#source.charAt(this.#at + 1)) || this.#at + 1 >= this.#source.length)
      return classPart(from, from, flags);
    this.#at++;
    if (this.#peek() === '[' || this.#classSet() !== undefined) throw new RegexRefusal('a range up to a class');
    return classPart(from, this.#classCharacter(), flags);
  }

  #classSet(): string | undefined {
    if (this.#peek() !== '\\') return undefined;
    this.#at++;
    const set = this.#classEscape();
    if (set === undefined) this.#at--;
    return set;
  }

  #classCharacter(): string {
    const character = this.#next();
    if (character !== '\\') return character;
    if (this.#take('b')) return '\b';
    if (/[RXKGkg1-9]/.test(this.#peek())) throw new RegexRefusal(`"\\${this.#peek()}" in a class`);
    return this.#escapedCharacter();
  }

  #peek(): string {
    return this.#source.charAt(this.#at);
  }

  #next(): string {
    const code = this.#source.codePointAt(this.#at);
    if (code === undefined) return '';
    const character = String.fromCodePoint(code);
    this.#at += character.length;
    return character;
  }

  #take(wanted: string): boolean {
    if (!this.#source.startsWith(wanted, this.#at)) return false;
    this.#at += wanted.length;
    return true;
  }
}

function plain(source: string): Atom {
  return { source, repeats: false, loops: 0, isNullable: source === '' };
}

function anchor(source: string): Atom {
  return { source, repeats: false, isAssertion: true, loops: 0 };
}

function withFlags(flags: Flags, on: string, off: string): Flags {
  const unknown = /[^im]/.exec(on + off);
  if (unknown !== null) throw new RegexRefusal(`the flag "${unknown[0]}"`);
  const flag = (letter: string, before: boolean): boolean => (before || on.includes(letter)) && !off.includes(letter);
  return { ignoreCase: flag('i', flags.ignoreCase), dotAll: flag('m', flags.dotAll) };
}

function classPart(from: string, to: string, { ignoreCase }: Flags): string {
  if ((from.codePointAt(0) ?? 0) > (to.codePointAt(0) ?? 0)) throw new RegexRefusal(`the range ${from}-${to}`);
  if (!ignoreCase) return from === to ? escaped(from) : `${escaped(from)}-${escaped(to)}`;
  const folded = foldedClass(from, to);
  if (folded === undefined) throw new RegexRefusal(`the range ${from}-${to} without regard to case`);
  return folded.map(([low, high]) => (low === high ? escaped(low) : `${escaped(low)}-${escaped(high)}`)).join('');
}

function escaped(character: string): string {
  return /^[A-Za-z0-9]$/.test(character) ? character : `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}
