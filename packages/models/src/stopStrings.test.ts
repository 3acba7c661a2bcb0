import { expect, test } from 'vitest';
import { stopStrings } from './stopStrings.js';

function cut(pieces: readonly string[], stops: readonly string[]): { given: string[]; stopped: boolean } {
  const stop = stopStrings(stops);
  const given: string[] = [];
  for (const piece of pieces) {
    const { text, stopped } = stop.push(piece);
    given.push(text);
    if (stopped) return { given, stopped };
  }
  given.push(stop.end());
  return { given, stopped: false };
}

test.each<[string, { pieces: string[]; stops: string[]; given: string[]; stopped: boolean }]>([
  ['within a piece', { pieces: ['one. two'], stops: ['.'], given: ['one'], stopped: true }],
  ['across three pieces', { pieces: ['one #', '#', '# two'], stops: ['###'], given: ['one ', '', ''], stopped: true }],
  ['at the very beginning', { pieces: ['##', '#'], stops: ['###'], given: ['', ''], stopped: true }],
  [
    'what only looked like one is given out after all',
    { pieces: ['a#', '#b', 'c'], stops: ['###'], given: ['a', '##b', 'c', ''], stopped: false },
  ],
  ['what looks like one at the end too', { pieces: ['a##'], stops: ['###'], given: ['a', '##'], stopped: false }],
  [
    'a beginning within a beginning',
    { pieces: ['aab', 'aabaa', 'c'], stops: ['aabaac'], given: ['', 'aab', ''], stopped: true },
  ],
  ['the earliest of several', { pieces: ['x END y STOP'], stops: ['STOP', 'END'], given: ['x '], stopped: true }],
  [
    'one that begins with another',
    { pieces: ['x', 'END', 'ING'], stops: ['ENDING', 'END'], given: ['x', ''], stopped: true },
  ],
  ['none', { pieces: ['a', 'b'], stops: [], given: ['a', 'b', ''], stopped: false }],
])('%s', (_, { pieces, stops, given, stopped }) => {
  expect(cut(pieces, stops)).toEqual({ given, stopped });
});

test('any text in any pieces is cut where indexOf finds the stop', () => {
  let seed = 7;
  const draw = (below: number): number => (seed = (seed * 1103515245 + 12345) % 2147483648) % below;
  for (let round = 0; round < 300; round++) {
    const text = Array.from({ length: 24 }, () => 'ab'[draw(2)]).join('');
    const stops = Array.from({ length: 1 + draw(2) }, () =>
      Array.from({ length: 2 + draw(4) }, () => 'ab'[draw(2)]).join(''),
    );
    const pieces: string[] = [];
    for (let at = 0; at < text.length;) {
      const end = at + 1 + draw(4);
      pieces.push(text.slice(at, end));
      at = end;
    }
    const first = Math.min(...stops.map((stop) => (text.includes(stop) ? text.indexOf(stop) : text.length)));
    expect(cut(pieces, stops).given.join('')).toBe(text.slice(0, first));
  }
});
