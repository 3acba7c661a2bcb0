import { expect, test } from 'vitest';
import { drawSpectra } from './drawSpectra.js';

const size = { width: 400, height: 240 };

test('a line for each layer; what rounding leaves of zero is not drawn', () => {
  const drawn = drawSpectra(
    [
      { path: 'a', singularValues: [4, 2, 1, 1e-12] },
      { path: 'b', singularValues: [3, 0.5] },
    ],
    size,
  );
  expect(drawn).toContain('Singular values of ΔW of 2 layers');
  const lines = [...(drawn ?? '').matchAll(/ d="M([^"]+)"[^>]*stroke-opacity/g)].map(([, path = '']) =>
    path.split('L'),
  );
  expect(lines.map(({ length }) => length)).toEqual([3, 2]);
});

test('an adapter that adds nothing has no chart', () => {
  expect(drawSpectra([{ path: 'a', singularValues: [0, 0] }], size)).toBeUndefined();
  expect(drawSpectra([], size)).toBeUndefined();
});
