import { expect, test } from 'vitest';
import { textPieces } from './textPieces.js';

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));

test('pieces arrive in order, one by one or as a whole', async () => {
  const write = async (push: (piece: string) => void): Promise<void> => {
    for (const piece of ['a', 'b', 'c']) {
      push(piece);
      await pause();
    }
  };
  const seen: string[] = [];
  for await (const piece of textPieces(write)) seen.push(piece);
  expect(seen).toEqual(['a', 'b', 'c']);
  expect(await textPieces(write).text()).toBe('abc');
});

test('leaving the loop ends the writing, which is over when the loop is', async () => {
  let ended = false;
  const pieces = textPieces(async (push, signal) => {
    while (!signal.aborted) {
      push('x');
      await pause();
    }
    ended = true;
  });
  for await (const piece of pieces) if (piece === 'x') break;
  expect(ended).toBe(true);
});

test('a failure comes behind the pieces before it', async () => {
  const pieces = textPieces(async (push) => {
    push('x');
    await pause();
    throw new Error('no memory');
  });
  const seen: string[] = [];
  await expect(
    (async () => {
      for await (const piece of pieces) seen.push(piece);
    })(),
  ).rejects.toThrow('no memory');
  expect(seen).toEqual(['x']);
});
