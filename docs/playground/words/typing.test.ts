import { expect, test } from 'vitest';
import { askedOf, cut, suggestion, wholeOf } from './typing';

test('whole sentences are learned, each once, and the begun one is continued', () => {
  expect(cut('The ferry leaves at nine. Bring the blue rope! The ferry leaves at nine. It is')).toEqual({
    sentences: ['The ferry leaves at nine.', 'Bring the blue rope!'],
    begun: 'It is',
  });
  expect(cut('Dear Ada,\nthe tide is 3.5 m today\n\nok.')).toEqual({
    sentences: ['Dear Ada,', 'the tide is 3.5 m today'],
    begun: 'ok.',
  });
  expect(cut('')).toEqual({ sentences: [], begun: '' });
});

test('a suggestion goes on with the letters that are there, for a few words', () => {
  const asked = askedOf('The ferry le');
  expect(asked).toEqual({ words: 'The ferry', partial: 'le' });
  expect(suggestion(asked, ' leaves at nine. Then')).toBe('aves at nine.');
  expect(suggestion(asked, ' sinks at nine.')).toBe('');
  expect(suggestion(asked, 'leaves')).toBe('');
  expect(suggestion(wholeOf(asked), 'aves at nine.')).toBe('aves at nine.');
  expect(wholeOf(asked)).toEqual({ words: 'The ferry le', partial: '' });
  expect(suggestion(askedOf('The ferry '), ' leaves at ni')).toBe(' leaves at');
  expect(suggestion(askedOf('The ferry '), ' a b c d e f g h.')).toBe(' a b c d e f');
  expect(suggestion(askedOf('The fer'), 'r')).toBe('');
  expect(suggestion(askedOf('Th'), 'The ferry leaves\nnow')).toBe('e ferry');
  expect(suggestion(askedOf('The ferry'), ' ferry')).toBe('');
});
