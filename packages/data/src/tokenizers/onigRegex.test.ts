import { expect, it } from 'vitest';
import { RegexRefusal, translateRegex } from './onigRegex.js';

const split = (source: string, text: string): string[] => text.match(translateRegex(source)) ?? [];

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
