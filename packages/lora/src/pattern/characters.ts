/** Whether a character, by its code point, is one of a set. */
export type CharacterTest = (code: number) => boolean;

const word = /^[\p{L}\p{N}_]$/u;
const digit = /^\p{Nd}$/u;
const space = /^[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]$/;
const asciiSpace = /^[\t-\r ]$/;
const asciiWord = /^\w$/;
const asciiDigit = /^[0-9]$/;

const character = (code: number): string => String.fromCodePoint(code);

/** What Python's `\w`, `\d` and `\s` mean, of all scripts or of ASCII alone; capital letters mean the others. */
export function classTest(letter: string, ascii: boolean): CharacterTest {
  const expressions = ascii ? { w: asciiWord, d: asciiDigit, s: asciiSpace } : { w: word, d: digit, s: space };
  const expression = expressions[letter.toLowerCase() as 'w' | 'd' | 's'];
  const isOther = letter !== letter.toLowerCase();
  // Four separators that only Python calls white space.
  const isSeparator = (code: number): boolean => expression === space && code >= 0x1c && code <= 0x1f;
  return (code) => (isSeparator(code) || expression.test(character(code))) !== isOther;
}

export const isNewline: CharacterTest = (code) => code === 10;

/** The same test for either case of a letter. */
export function ignoringCase(test: CharacterTest): CharacterTest {
  return (code) => test(code) || otherCases(code).some(test);
}

/** Letters that differ from this one by case alone; none for letters whose other case has two of them. */
function otherCases(code: number): number[] {
  const text = character(code);
  return [text.toLowerCase(), text.toUpperCase()].flatMap((other) => {
    const [first, second] = other;
    return second === undefined && first !== undefined && first !== text ? [first.codePointAt(0) ?? code] : [];
  });
}

/** Whether two characters differ in case at most. */
export function sameLetter(a: number, b: number): boolean {
  return a === b || otherCases(a).includes(b);
}
