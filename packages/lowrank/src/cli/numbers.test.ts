import { either, number, wholeNumber } from '@lowrank/settings';
import { expect, test } from 'vitest';
import { choiceFlag, listFlag, numberFlag } from './numbers.js';

test.each([
  ['12', 12],
  ['1e-4', 1e-4],
  ['.5', 0.5],
  ['2.', 2],
  ['-3', -3],
])('%s is a number', (text, value) => expect(numberFlag('--x')(text)).toBe(value));

test.each(['', 'abc', '0x10', '1e', 'NaN', 'Infinity', '1e999', '1,5', '--y', '12abc'])('%j is none', (text) => {
  expect(() => numberFlag('--x')(text)).toThrow(`--x: expected a number, got ${text === '' ? 'nothing' : text}`);
});

test('rules are told as they are broken', () => {
  expect(() => numberFlag('--r', wholeNumber({ min: 1 }))('0')).toThrow(
    '--r: expected a whole number of at least 1, got 0',
  );
  expect(() => numberFlag('--r', wholeNumber({ min: 1 }))('2.5')).toThrow('--r');
  expect(() => numberFlag('--dropout', number({ min: 0, below: 1 }))('1')).toThrow(
    '--dropout: expected a number of at least 0 and below 1, got 1',
  );
  expect(() => numberFlag('--alpha', number({ above: 0 }))('0')).toThrow('--alpha: expected a number above 0, got 0');
  const shareOrCount = numberFlag('--validation', either(number({ above: 0, below: 1 }), wholeNumber({ min: 1 })));
  expect([shareOrCount('0.1'), shareOrCount('20')]).toEqual([0.1, 20]);
  expect(() => shareOrCount('2.5')).toThrow('below 1, or a whole number of at least 1, got 2.5');
});

test('lists and choices', () => {
  expect(listFlag('--t')('q_proj, v_proj,')).toEqual(['q_proj', 'v_proj']);
  expect(() => listFlag('--t')(' ,')).toThrow('--t: expected names with commas between them, got  ,');
  expect(choiceFlag('--device', ['cpu', 'auto'])('cpu')).toBe('cpu');
  expect(() => choiceFlag('--device', ['cpu', 'auto'])('gpu')).toThrow('--device: expected cpu, auto, got gpu');
});
