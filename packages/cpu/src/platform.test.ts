import { afterEach, expect, test, vi } from 'vitest';
import { canShareMemory, coreCount, maySleep, nodeModule, yieldToEventLoop } from './platform.js';

afterEach(() => vi.unstubAllGlobals());

test('Node: its modules, its cores, shared memory and sleep', () => {
  expect(nodeModule('node:os')).toBeDefined();
  expect(coreCount()).toBeGreaterThan(0);
  expect([canShareMemory(), maySleep()]).toEqual([true, true]);
});

test('a browser: shared memory only where isolated, no sleep on a page', () => {
  vi.stubGlobal('process', undefined);
  vi.stubGlobal('navigator', { hardwareConcurrency: 6 });
  vi.stubGlobal('document', {});
  expect(nodeModule('node:os')).toBeUndefined();
  expect([coreCount(), canShareMemory(), maySleep()]).toEqual([6, false, false]);
  vi.stubGlobal('crossOriginIsolated', true);
  expect(canShareMemory()).toBe(true);
  vi.stubGlobal('SharedArrayBuffer', undefined);
  expect(canShareMemory()).toBe(false);
});

test('timers get a turn, with setImmediate and without', async () => {
  for (const stub of [() => undefined, () => vi.stubGlobal('setImmediate', undefined)]) {
    stub();
    let turns = 0;
    setTimeout(() => turns++, 0);
    const start = performance.now();
    while (turns === 0 && performance.now() - start < 2000) await yieldToEventLoop();
    expect(turns).toBe(1);
  }
});
