import { expect, it } from 'vitest';
import { labelPlaces } from './labelPlaces.js';

const panel = { width: 400, height: 300 };

it('puts a label right of its point, else where there is room', () => {
  const point = (
    x: number,
    y: number,
    text = 'lora',
    reach = 0,
  ): { x: number; y: number; text: string; reach: number } => ({ x, y, text, reach });
  expect(labelPlaces([point(100, 100)], panel)).toEqual(['right']);
  expect(labelPlaces([point(100, 100), point(120, 100)], panel)).toEqual(['left', 'right']);
  // A row of points as close as that leaves the one between them above and below.
  expect(labelPlaces([point(100, 100), point(120, 100), point(140, 100)], panel)).toEqual(['left', 'top', 'right']);
  expect(labelPlaces([point(395, 100, 'a long name')], panel)).toEqual(['left']);
  // On one spot: the last of five finds no room.
  expect(
    labelPlaces(
      Array.from({ length: 5 }, () => point(200, 150)),
      panel,
    ),
  ).toEqual(['right', 'left', 'top', 'bottom', undefined]);
});

it('keeps clear of lines', () => {
  const path = [
    { x: 100, y: 100 },
    { x: 200, y: 105 },
  ];
  expect(
    labelPlaces(
      path.map((point) => ({ ...point, reach: 0, text: 'r 8' })),
      { ...panel, paths: [path] },
    ),
  ).toEqual(['left', 'right']);
  expect(labelPlaces([{ x: 150, y: 102.5, reach: 0, text: 'r 8' }], { ...panel, paths: [path] })).toEqual(['top']);
});

it('keeps clear of bars', () => {
  expect(
    labelPlaces(
      [
        { x: 100, y: 100, text: 'a', reach: 30 },
        { x: 112, y: 115, text: 'b', reach: 30 },
      ],
      panel,
    ),
  ).toEqual(['left', 'right']);
});
