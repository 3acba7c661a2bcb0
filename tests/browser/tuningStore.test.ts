import { expect, test } from 'vitest';
import { tuningStore } from '../../packages/lowrank/src/tuningStore.browser.js';

test('what was measured of kernels stays in the origin’s IndexedDB, a text under each name', async () => {
  expect(await tuningStore.read('a GPU')).toBeUndefined();
  await tuningStore.write('a GPU', 'first');
  await tuningStore.write('another', 'other');
  await tuningStore.write('a GPU', 'second');
  expect(await tuningStore.read('a GPU')).toBe('second');
  expect(await tuningStore.read('another')).toBe('other');
  indexedDB.deleteDatabase('lowrank-tuning');
});
