import { expect, test } from 'vitest';
import { centred } from './centred';

function drawing(width: number, isInk: (x: number, y: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: width * width }, (_, at) => (isInk(at % width, Math.floor(at / width)) ? 255 : 0));
}

test('a bar in a corner stands in the middle, 20 points high', () => {
  const bar = centred(
    drawing(280, (x, y) => x >= 10 && x < 30 && y >= 5 && y < 105),
    280,
  );
  const inked = [...(bar ?? [])].flatMap((value, at) => (value > 128 ? [[at % 28, Math.floor(at / 28)] as const] : []));
  const [xs, ys] = [inked.map(([x]) => x), inked.map(([, y]) => y)];
  expect([Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)]).toEqual([12, 15, 4, 23]);
});

test('an empty drawing is none', () => {
  expect(centred(new Uint8Array(16), 4)).toBeUndefined();
});
