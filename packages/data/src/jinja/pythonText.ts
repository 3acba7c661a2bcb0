/** Text as Python counts it: by code points, with its own idea of white space. */
export const pythonSpace = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const spaces = new RegExp(`^[${pythonSpace}]$`, 'u');
// oxlint-disable-next-line no-control-regex
const lineEnds = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/g;

/** Code points of a text; of one without surrogate pairs, its units. */
export function points(text: string): readonly string[] {
  return Array.from(text);
}

export function lengthOf(text: string): number {
  if (!/[\ud800-\udbff]/.test(text)) return text.length;
  let length = 0;
  for (let at = 0; at < text.length; at++) if ((text.charCodeAt(at) & 0xfc00) !== 0xdc00) length++;
  return length;
}

/** Where a slice `[start:stop:step]` of so many items lies, as Python's `slice.indices`. */
export function sliceIndices(
  length: number,
  start: number | undefined,
  stop: number | undefined,
  step: number,
): readonly number[] {
  const [low, high] = step < 0 ? [-1, length - 1] : [0, length];
  const clamp = (given: number | undefined, fallback: number): number => {
    if (given === undefined) return fallback;
    return Math.min(high, Math.max(low, given < 0 ? given + length : given));
  };
  const from = clamp(start, step < 0 ? high : low);
  const to = clamp(stop, step < 0 ? low : high);
  const indices: number[] = [];
  for (let at = from; step < 0 ? at > to : at < to; at += step) indices.push(at);
  return indices;
}

/** `strip`, `lstrip` (side left) and `rstrip` (side right), of white space or of given characters. */
export function strip(text: string, side: 'both' | 'left' | 'right', characters?: string): string {
  const set = characters === undefined ? undefined : new Set(points(characters));
  const goes = (letter: string): boolean => (set === undefined ? spaces.test(letter) : set.has(letter));
  let [from, to] = [0, text.length];
  while (side !== 'right' && from < to) {
    const letter = String.fromCodePoint(text.codePointAt(from) ?? 0);
    if (!goes(letter)) break;
    from += letter.length;
  }
  while (side !== 'left' && to > from) {
    const size = to - from > 1 && (text.charCodeAt(to - 1) & 0xfc00) === 0xdc00 ? 2 : 1;
    if (!goes(text.slice(to - size, to))) break;
    to -= size;
  }
  return text.slice(from, to);
}

/** `split(sep, maxsplit)`; without a separator at runs of white space. */
export function split(text: string, separator: string | undefined, most: number): string[] {
  const parts: string[] = [];
  if (separator === undefined) {
    let rest = strip(text, 'left');
    const gap = new RegExp(`[${pythonSpace}]+`, 'gu');
    while (rest !== '') {
      gap.lastIndex = 0;
      const found = most >= 0 && parts.length >= most ? null : gap.exec(rest);
      if (found === null) {
        parts.push(most >= 0 && parts.length >= most ? rest : rest);
        return parts;
      }
      parts.push(rest.slice(0, found.index));
      rest = rest.slice(found.index + found[0].length);
    }
    return parts;
  }
  let from = 0;
  for (
    let to = text.indexOf(separator);
    to >= 0 && (most < 0 || parts.length < most);
    to = text.indexOf(separator, from)
  ) {
    parts.push(text.slice(from, to));
    from = to + separator.length;
  }
  parts.push(text.slice(from));
  return parts;
}

export function rsplit(text: string, separator: string | undefined, most: number): string[] {
  if (most < 0) return split(text, separator, most);
  const parts: string[] = [];
  if (separator === undefined) {
    let rest = strip(text, 'right');
    const gap = new RegExp(`[${pythonSpace}]+(?=[^${pythonSpace}]*$)`, 'u');
    while (rest !== '') {
      const found = parts.length >= most ? null : gap.exec(rest);
      if (found === null) {
        parts.unshift(rest);
        break;
      }
      parts.unshift(rest.slice(found.index + found[0].length));
      rest = rest.slice(0, found.index);
    }
    return parts;
  }
  let to = text.length;
  for (
    let from = text.lastIndexOf(separator);
    from >= 0 && parts.length < most;
    from = to < separator.length ? -1 : text.lastIndexOf(separator, to - separator.length)
  ) {
    parts.unshift(text.slice(from + separator.length, to));
    to = from;
  }
  parts.unshift(text.slice(0, to));
  return parts;
}

export function splitLines(text: string, keepsEnds = false): string[] {
  const lines: string[] = [];
  let from = 0;
  for (const { index, 0: end } of text.matchAll(lineEnds)) {
    lines.push(text.slice(from, keepsEnds ? index + end.length : index));
    from = index + end.length;
  }
  if (from < text.length) lines.push(text.slice(from));
  return lines;
}

/** `replace(old, new, count)`. */
export function replace(text: string, old: string, by: string, count: number): string {
  if (count === 0) return text;
  if (old === '') {
    const letters = points(text);
    const most = count < 0 ? letters.length + 1 : count;
    let written = '';
    for (let at = 0; at <= letters.length; at++) written += (at < most ? by : '') + (letters[at] ?? '');
    return written;
  }
  if (count < 0) return text.split(old).join(by);
  const parts = split(text, old, count);
  return parts.join(by);
}

export function capitalize(text: string): string {
  const [first = '', ...rest] = points(text);
  return first.toUpperCase().slice(0, 1) === first.toUpperCase() || first.length === 2
    ? first.toUpperCase() + rest.join('').toLowerCase()
    : titleCase(first) + rest.join('').toLowerCase();
}

/** The title case of a letter: of one that becomes several, the first alone is upper case (ﬁ: Fi). */
function titleCase(letter: string): string {
  const [first = '', ...rest] = points(letter.toUpperCase());
  return first + rest.join('').toLowerCase();
}

/** Python's `str.title`: every letter behind no letter is upper case. */
export function title(text: string): string {
  let written = '';
  let isInside = false;
  for (const letter of text) {
    const isCased = /^[\p{Lu}\p{Ll}\p{Lt}]$/u.test(letter) || letter.toLowerCase() !== letter.toUpperCase();
    written += isInside ? letter.toLowerCase() : titleCase(letter);
    isInside = isCased;
  }
  return written;
}

export function swapCase(text: string): string {
  return Array.from(text, (letter) => {
    const upper = letter.toUpperCase();
    return letter === upper ? letter.toLowerCase() : upper;
  }).join('');
}

/** The place of a text, in code points, or -1. */
export function find(
  text: string,
  wanted: string,
  [start, stop]: readonly (number | undefined)[],
  last = false,
): number {
  const letters = points(text);
  const clamp = (given: number | undefined, fallback: number): number => {
    if (given === undefined) return fallback;
    return Math.max(0, Math.min(letters.length, given < 0 ? given + letters.length : given));
  };
  const [from, to] = [clamp(start, 0), clamp(stop, letters.length)];
  if (from > to) return -1;
  const part = letters.slice(from, to).join('');
  const at = last ? part.lastIndexOf(wanted) : part.indexOf(wanted);
  return at < 0 ? -1 : from + lengthOf(part.slice(0, at));
}

export function count(text: string, wanted: string): number {
  return wanted === '' ? lengthOf(text) + 1 : text.split(wanted).length - 1;
}

export function center(text: string, width: number, fill = ' '): string {
  const missing = width - lengthOf(text);
  if (missing <= 0) return text;
  const left = Math.floor(missing / 2) + (missing & width & 1);
  return fill.repeat(left) + text + fill.repeat(missing - left);
}
