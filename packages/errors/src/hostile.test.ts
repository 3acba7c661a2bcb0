import { expect, test } from 'vitest';
import { LowrankError, parseJson, printable, shown } from './index.js';

const deep = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);

test('values are shown as JSON, cut where they are long or deep', () => {
  const value = { a: [1, 'x', null], b: { c: true } };
  expect(shown(value)).toBe(JSON.stringify(value));
  expect(shown(undefined)).toBe('nothing');
  expect(shown('x'.repeat(1e6)).length).toBe(200);
  expect(shown(Array.from({ length: 1e6 }, () => 1)).length).toBe(200);
  expect(shown(JSON.parse(deep(200_000)))).toBe('[[[[[[[[[...]]]]]]]]]');
});

test('JSON that is nested beyond any file is no JSON', () => {
  const brackets = { a: `${'['.repeat(1000)}\\"[` };
  expect(parseJson(JSON.stringify(brackets))).toEqual(brackets);
  expect(parseJson(deep(500))).toHaveLength(1);
  expect(() => parseJson(deep(501))).toThrow(SyntaxError);
  expect(() => parseJson(deep(200_000))).toThrow(/nested more than 500 deep/);
});

test('control characters of files never reach a terminal as they are', () => {
  const hostile = 'a\u001b]0;title\u0007\r\u009b31m\u202eb\tc\n';
  const shownText = 'a\\u001b]0;title\\u0007\\u000d\\u009b31m\\u202eb\tc\n';
  expect(printable(hostile)).toBe(shownText);
  const error = new LowrankError({ code: 'x', what: hostile, got: hostile, remedy: hostile });
  expect(error.message).toContain(shownText);
  expect(`${error.message}${error.what}${error.messageWith((name) => name)}`).not.toContain('\u001b');
});
