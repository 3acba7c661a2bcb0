import type { AlignedText } from './alignedText.js';
import { TextEditor, unitsAt } from './alignedText.js';
import type { TranslatedRegex } from './onigRegex.js';
import { literalRegex, RegexRefusal, translateRegex } from './onigRegex.js';
import type { PartJson } from './partJson.js';
import { isPart, unusablePart, wordOf } from './partJson.js';

/** Where a pattern matches: from, up to. */
export type TokenMatch = readonly [from: number, to: number];
/** The matches in a text, in order, none over another. */
export type Finder = (text: string) => TokenMatch[];

/** A pattern of tokenizer.json: `{"String": …}` or `{"Regex": …}`. */
export function readPattern(json: PartJson, place: string): Finder {
  const pattern = json['pattern'];
  if (isPart(pattern)) {
    if (typeof pattern['String'] === 'string') return regexFinder(literalRegex(pattern['String']));
    if (typeof pattern['Regex'] === 'string') {
      const source = pattern['Regex'];
      const { regex, mayFail } = readRegex(source, place);
      return mayFail
        ? boundedFinder(regex, `the regular expression ${quoted(source)} in ${place}`)
        : regexFinder(regex);
    }
  }
  throw unusablePart(`pattern in ${place}`, '{"String": …} or {"Regex": …}', pattern);
}

function quoted(source: string): string {
  return JSON.stringify(source.length > 60 ? `${source.slice(0, 57)}...` : source);
}

function readRegex(source: string, place: string): TranslatedRegex {
  try {
    return translateRegex(source);
  } catch (cause) {
    if (!(cause instanceof RegexRefusal)) throw cause;
    throw unusablePart(
      `the regular expression ${quoted(source)} in ${place}`,
      'one that can be translated from Oniguruma to JavaScript exactly',
      cause.message,
      cause,
    );
  }
}

export function regexFinder(regex: RegExp): Finder {
  return (text) => {
    const matches: TokenMatch[] = [];
    let last = -1;
    for (const { index, 0: found } of text.matchAll(regex)) {
      // Nothing right behind a match is no match of its own, as in the Rust library.
      if (found === '' && index === last) continue;
      last = index + found.length;
      matches.push([index, last]);
    }
    return matches;
  };
}

/**
 * The same for an expression of which a single try may look through the whole text. Tries that fail are watched: real
 * splitters match nearly everywhere, and need a hundredth of the time that is allowed, one second and one for each
 * million characters.
 *
 * @throws LowrankError `data.tokenizer` where they take longer
 */
function boundedFinder(regex: RegExp, what: string): Finder {
  const here = new RegExp(regex.source, 'vy');
  return (text) => {
    const matches: TokenMatch[] = [];
    const begin = performance.now();
    let [last, failed] = [-1, 0];
    for (let at = 0; at <= text.length;) {
      here.lastIndex = at;
      const found = here.exec(text)?.[0];
      if (found === undefined && (++failed & 15) === 0 && performance.now() - begin > 1000 + text.length / 1000)
        throw unusablePart(what, `one that ends soon on a text of ${text.length} characters`, 'one that does not');
      if (found !== undefined && !(found === '' && at === last)) {
        last = at + found.length;
        matches.push([at, last]);
      }
      at = found === undefined || found === '' ? at + unitsAt(text, at) : at + found.length;
    }
    return matches;
  };
}

/** Writes `content` in place of each match. */
export function replaceAll(source: AlignedText, find: Finder, content: string): AlignedText {
  const matches = find(source.text);
  if (matches.length === 0) return source;
  const editor = new TextEditor(source);
  let kept = 0;
  for (const [from, to] of matches) {
    editor.keep(kept, from);
    // All of it stands for the last character that was replaced, as in the Rust library.
    if (to > from) editor.put(content, to - 1, to);
    else if (from > 0) editor.put(content, from - 1, from);
    else editor.put(content, 0, 0);
    kept = to;
  }
  editor.keep(kept, source.text.length);
  return editor.done();
}

const behaviors = ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'] as const;
export type SplitBehavior = (typeof behaviors)[number];

export function readBehavior(json: PartJson, place: string, fallback?: SplitBehavior): SplitBehavior {
  return wordOf(json, { key: 'behavior', place, words: behaviors, fallback });
}

/** Splits a text at its matches; what becomes of a match is the behavior. */
export function splitText(
  source: AlignedText,
  find: Finder,
  { behavior, invert = false }: { behavior: SplitBehavior; invert?: boolean },
): AlignedText[] {
  const stretches = stretchesOf(source.text, find, invert);
  const merged = mergers[behavior](stretches);
  return merged.filter(({ from, to }) => to > from).map(({ from, to }) => source.slice(from, to));
}

interface Stretch {
  readonly from: number;
  to: number;
  readonly isMatch: boolean;
}

/** The whole text, as matches and what lies between them. */
function stretchesOf(text: string, find: Finder, invert: boolean): Stretch[] {
  const stretches: Stretch[] = [];
  let at = 0;
  for (const [from, to] of find(text)) {
    if (from > at) stretches.push({ from: at, to: from, isMatch: invert });
    stretches.push({ from, to, isMatch: !invert });
    at = to;
  }
  if (at < text.length) stretches.push({ from: at, to: text.length, isMatch: invert });
  return stretches;
}

const mergers: Readonly<Record<SplitBehavior, (stretches: readonly Stretch[]) => Stretch[]>> = {
  Removed: (stretches) => stretches.filter(({ isMatch }) => !isMatch),
  Isolated: (stretches) => [...stretches],
  MergedWithPrevious: (stretches) => mergeWhere(stretches, (stretch, before) => stretch.isMatch && !before),
  Contiguous: (stretches) => mergeWhere(stretches, (stretch, before) => stretch.isMatch === before),
  MergedWithNext(stretches) {
    const merged: Stretch[] = [];
    let before = false;
    for (const stretch of [...stretches].reverse()) {
      const last = merged.at(-1);
      if (stretch.isMatch && !before && last !== undefined) merged[merged.length - 1] = { ...last, from: stretch.from };
      else merged.push({ ...stretch });
      before = stretch.isMatch;
    }
    return merged.reverse();
  },
};

/** Puts a stretch to the one before it where `joins` says so; it is told whether that one was a match. */
function mergeWhere(stretches: readonly Stretch[], joins: (stretch: Stretch, before: boolean) => boolean): Stretch[] {
  const merged: Stretch[] = [];
  let before = false;
  for (const stretch of stretches) {
    const last = merged.at(-1);
    if (last !== undefined && joins(stretch, before)) last.to = stretch.to;
    else merged.push({ ...stretch });
    before = stretch.isMatch;
  }
  return merged;
}
