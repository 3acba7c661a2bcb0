import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { readIdx } from './idx';

const file = (name: string): Uint8Array => gunzipSync(readFileSync(new URL(`./base/${name}`, import.meta.url)));

test('the sample has fifty images to learn of each digit from 5 to 9, and twenty of all to try', () => {
  const { width, height, images, labels } = readIdx(file('images.idx3'), file('labels.idx1'));
  expect([width, height, images[0]?.length]).toEqual([28, 28, 784]);
  const countOf = (digit: number): number => labels.filter((label) => label === digit).length;
  expect(Array.from({ length: 10 }, (_, digit) => countOf(digit))).toEqual([20, 20, 20, 20, 20, 70, 70, 70, 70, 70]);
  expect(images.every((image) => image.some((ink) => ink > 128))).toBe(true);
});

test('other files are refused', () => {
  const images = file('images.idx3');
  expect(() => readIdx(images, file('labels.idx1').subarray(0, 20))).toThrow('no IDX files');
  expect(() => readIdx(images.subarray(0, 100), file('labels.idx1'))).toThrow('no IDX files');
  expect(() => readIdx(new Uint8Array(3), new Uint8Array(0))).toThrow('no IDX files');
});
