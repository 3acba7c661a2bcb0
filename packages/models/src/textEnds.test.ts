import { expect, test } from 'vitest';
import type { TextEndOptions } from './textEnds.js';
import { TextEnds } from './textEnds.js';

/** Token n is letter n of the alphabet; 99 waits for the token behind it, as half a character does. */
const letters = (): { push(id: number): string; end(): string } => {
  let waiting = '';
  return {
    push(id) {
      if (id === 99) {
        waiting += 'é';
        return '';
      }
      const text = waiting + String.fromCharCode(97 + id);
      waiting = '';
      return text;
    },
    end: () => (waiting === '' ? '' : '\ufffd'),
  };
};

function run(
  rows: readonly (readonly number[])[],
  options: TextEndOptions,
): { texts: ReturnType<TextEnds['end']>; given: string[] } {
  const given: string[] = rows.map(() => '');
  const texts = new TextEnds(
    rows.map(() => [0]),
    { text: letters, onText: (piece, row) => (given[row] += piece), ...options },
  );
  for (let at = 0; at < Math.max(...rows.map((row) => row.length)) && texts.open; at++)
    texts.push(rows.map((row) => row[at] ?? 25));
  return { texts: texts.end('length'), given };
}

test('a stop string across tokens ends its row alone, cut exactly; its tokens stay', () => {
  const { texts, given } = run(
    [
      [0, 1, 2, 3, 4],
      [1, 0, 2, 3, 4],
    ],
    { stopStrings: ['bcd'] },
  );
  expect(texts).toEqual([
    { ids: [0, 1, 2, 3], text: 'a', endedBy: 'string' },
    { ids: [1, 0, 2, 3, 4], text: 'bacde', endedBy: 'length' },
  ]);
  expect(given).toEqual(texts.map(({ text }) => text));
});

test('a stop token is no part of ids or text, and what was held back before it is', () => {
  expect(run([[0, 1, 7, 5]], { stopIds: [7], stopStrings: ['bz'] }).texts).toEqual([
    { ids: [0, 1], text: 'ab', endedBy: 'token' },
  ]);
});

test('what a decoder still holds at the end comes out, and may complete a stop string', () => {
  expect(run([[0, 99]], {}).texts).toEqual([{ ids: [0, 99], text: 'a\ufffd', endedBy: 'length' }]);
  expect(run([[0, 99]], { stopStrings: ['\ufffd'] }).texts).toEqual([{ ids: [0, 99], text: 'a', endedBy: 'string' }]);
  expect(run([[0, 99, 1]], { stopStrings: ['é'] }).texts).toEqual([{ ids: [0, 99, 1], text: 'a', endedBy: 'string' }]);
});

test('all rows ended: nothing is open', () => {
  const texts = new TextEnds([[0], [0]], { stopIds: [3] });
  texts.push([3, 1]);
  expect(texts.open).toBe(true);
  texts.push([1, 3]);
  expect([texts.open, texts.ids]).toEqual([false, [[], [1]]]);
});

test('stop strings without a decoder, or empty, are refused', () => {
  expect(() => new TextEnds([[0]], { stopStrings: ['x'] })).toThrow(/stopStrings: .*option text.*got no option text/);
  expect(() => new TextEnds([[0]], { stopStrings: [''], text: letters })).toThrow(/got an empty string/);
});
