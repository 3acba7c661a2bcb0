import { expect, it } from 'vitest';
import { RegexRefusal, translateRegex } from './onigRegex.js';

const split = (source: string, text: string): string[] => text.match(translateRegex(source).regex) ?? [];

it.each([
  ['\\p{L}++|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s', 'a\n\nb', ['a', '\n\n', 'b']],
  ['a$', 'a\na', ['a', 'a']],
  ['\\w+', 'é_٣²-x', ['é_٣²', 'x']],
  ['[\\w]+', 'é²x', ['é', 'x']],
  ['.', '\r\n\u2028', ['\r', '\u2028']],
  ['(?m:.){3}', 'ab\ncdef', ['ab\n', 'cde']],
  ["(?i:'S|k)", "'s 'ſ \u212a", ["'s", "'ſ", '\u212a']],
  ['a{,2}b', 'aaab', ['aab']],
  ['[a-c&&[^b]]+', 'abcab', ['a', 'ca']],
  ['(?>a+|ab)b', 'aab ab', ['aab', 'ab']],
  ['\\h+', 'fgA', ['f', 'A']],
  ['(?:a|[b-d])+', 'abce', ['abc']],
])('%s', (source, text, found) => {
  expect(split(source, text)).toEqual(found);
});

it.each([
  ['(a+)+$', 'repeats within a repeat'],
  ['(?:a*)*b', 'repeats within a repeat'],
  ['(a|a)*$', 'alternatives that overlap'],
  ['(?:a|aa)+b', 'alternatives that overlap'],
  ['(?:\\w|\\p{L})+', 'alternatives that overlap'],
  ['a*a*b', 'repeats of the same characters'],
  ['a*a*a*b', 'repeats of the same characters'],
  ['(?:a*a*)(?=b)', 'repeats of the same characters'],
  ['(?:\\w*){2}b', 'repeats of the same characters'],
  ['\\s*\\w?\\s+$', 'repeats of the same characters'],
  ['.*,.*!', 'repeats of the same characters'],
  ['a{0,1000}[ab]+c', 'repeats of the same characters'],
  ['(a)\\1', '"\\1"'],
  ['\\Xa', '"\\X"'],
  ['(?x: a)', 'the flag "x"'],
  ['(?i)ss', '"s" without regard to case'],
  ['[b-a]', 'the range b-a'],
  ['\\p{Nothing}', '"\\p{Nothing}"'],
])('%s is refused: %s', (source, words) => {
  expect(() => translateRegex(source)).toThrow(RegexRefusal);
  expect(() => translateRegex(source)).toThrow(words);
});

it('the splitters of common models are taken: repeats of other characters, held ones, and those before nothing', () => {
  const word = '[^\\r\\n\\p{L}\\p{N}]?';
  const cases = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
  const upper = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
  const lower = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';
  const blanks = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
  const splitters = [
    `'s|'t| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+`,
    `${cases}|${word}\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${blanks}`,
    `${word}${upper}*${lower}+${cases}?|${word}${upper}+${lower}*${cases}?|\\p{N}{1,3}|${blanks}`,
    `${word}((?=[\\p{L}])([^a-z]))*((?=[\\p{L}])([^A-Z]))+${cases}?|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${blanks}`,
    '[!-/:-~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s+',
    '\\d{1,3}(?=(?:\\d{3})*\\b)',
    'a++a*b|(?>a*)a*b|[0-9]*\\.?[a-z]+!',
  ];
  for (const splitter of splitters) expect(() => translateRegex(splitter)).not.toThrow();
});
