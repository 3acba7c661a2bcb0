import { expect, test } from 'vitest';
import { staleFiles } from './generate.mjs';

test('what is generated is up to date', async () => {
  expect((await staleFiles()).map(({ path }) => path)).toEqual([]);
});
