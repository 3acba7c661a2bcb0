import { describe, expect, it } from 'vitest';
import { repeatedKey } from './jsonKeys.js';

describe('repeatedKey', () => {
  it.each([
    ['{"a":1,"a":2}', { key: 'a', path: [] }],
    ['{"a":{"b":1,"c":{"b":3},"b":2}}', { key: 'b', path: ['a'] }],
    ['[{"x":1},{"x":1 , "x" \n: 2}]', { key: 'x', path: [] }],
    ['{"a":1,"\\u0061":2}', { key: 'a', path: [] }],
    ['{"\\\\":1,"\\\\":2}', { key: '\\', path: [] }],
    ['{"a\\"":1,"b":"a\\"","a\\"":2}', { key: 'a"', path: [] }],
    ['{"__proto__":1,"__proto__":2}', { key: '__proto__', path: [] }],
    ['{"":1,"":2}', { key: '', path: [] }],
  ])('finds the repeated key of %s', (json, expected) => {
    expect(() => JSON.parse(json) as unknown).not.toThrow();
    expect(repeatedKey(json)).toEqual(expected);
  });

  it.each([
    '{}',
    '{"a":"a","b":"a"}',
    '{"a":{"a":{"a":1}}}',
    '[{"a":1},{"a":1}]',
    '{"a":["a","a",{"a":1}],"b":"{\\"a\\":1,\\"a\\":2}"}',
    '{"a\\\\":1,"a":"\\\\","b":"\\""}',
    '"a"',
  ])('finds none in %s', (json) => {
    expect(() => JSON.parse(json) as unknown).not.toThrow();
    expect(repeatedKey(json)).toBeUndefined();
  });

  it('takes a string of 20 MB without recursion', () => {
    const long = 'x'.repeat(20_000_000);
    expect(repeatedKey(`{"a":"${long}","a":1}`)).toEqual({ key: 'a', path: [] });
  });
});
