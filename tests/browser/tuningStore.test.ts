import { compile, matmul } from '@lowrank/tensor';
import { createWebgpuBackend } from '@lowrank/webgpu';
import type { TunedEvent, TuningStore } from '@lowrank/webgpu';
import { expect, test } from 'vitest';
import { tuningStore } from '../../packages/lowrank/src/tuningStore.browser.js';

/** Multiplies on a device that was opened anew; what was measured for it, and the result. */
async function multiply(store: TuningStore): Promise<{ events: TunedEvent[]; y: number[] }> {
  const events: TunedEvent[] = [];
  const onTuned = (event: TunedEvent): void => void events.push(event);
  const backend = await createWebgpuBackend({ tuner: { store, software: true, seconds: 60, onTuned } });
  try {
    const fn = compile(backend, ({ a, b }) => {
      if (a === undefined || b === undefined) throw new TypeError('two arguments are given');
      return { y: matmul(a, b) };
    });
    const a = { data: Float32Array.of(1, 2, 3, 4), shape: [2, 2] };
    const { y } = await fn.run({ a, b: a });
    return { events, y: [...(await y)] };
  } finally {
    backend.dispose();
  }
}

test('a page measures a product once, and finds what it decided in IndexedDB', async () => {
  const first = await multiply(tuningStore);
  expect(first).toMatchObject({ events: [{ classes: 1, measured: 1 }], y: [7, 10, 15, 22] });
  expect(await multiply(tuningStore)).toEqual({ events: [], y: [7, 10, 15, 22] });
});

test('texts lie under their names', async () => {
  expect(await tuningStore.read('a GPU')).toBeUndefined();
  await tuningStore.write('a GPU', 'first');
  await tuningStore.write('another', 'other');
  await tuningStore.write('a GPU', 'second');
  expect(await tuningStore.read('a GPU')).toBe('second');
  expect(await tuningStore.read('another')).toBe('other');
  indexedDB.deleteDatabase('lowrank-tuning');
});
