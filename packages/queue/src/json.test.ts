import { expect, test } from 'vitest';
import { decodeJson, encodeJson } from './json.js';

test('what JSON can say is said as JSON', () => {
  const value = { a: [1, -2.5, 1e-300, 'x', null, true], b: { c: '' } };
  expect(encodeJson(value)).toBe(JSON.stringify(value));
  expect(decodeJson(encodeJson(value))).toEqual(value);
  expect(decodeJson(encodeJson(undefined))).toBeNull();
});

test('NaN, infinities and -0 arrive as they left', () => {
  const value = { loss: NaN, up: [Infinity, -Infinity], zero: -0, last: 0.1 + 0.2 };
  const back = decodeJson(encodeJson(value)) as typeof value;
  expect(Object.is(back.zero, -0)).toBe(true);
  expect(back).toEqual(value);
});
