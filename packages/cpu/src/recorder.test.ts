import { expect, test } from 'vitest';
import { Heap } from './heap.js';
import { KernelId } from './kernelIds.js';
import { f32Bits, Recorder } from './recorder.js';

test('records hold kernel, parameters, units and grain; everything is given back', () => {
  const heap = new Heap({ shared: false, maximumBytes: 2 ** 24 });
  const before = heap.allocate(64, 'probe');
  heap.free(before);
  const recorder = new Recorder(heap, 2);
  recorder.launch(KernelId.swiglu, [1, 2, 3, f32Bits(1.5)], 160, 10_000);
  recorder.launch(KernelId.fill, [4], 3, 1);
  recorder.launch(KernelId.fill, [4], 0, 1);
  expect(recorder.count).toBe(2);
  const words = new Uint32Array(heap.memory.buffer, recorder.finish(), 12);
  const [kernel, parameters = 0, units, grain] = words;
  expect([kernel, units, grain]).toEqual([KernelId.swiglu, 160, 10]);
  expect([...new Uint32Array(heap.memory.buffer, parameters, 4)]).toEqual([1, 2, 3, 0x3fc00000]);
  // Too little work to share out: one grain covers all units.
  expect([words[6], words[8], (words[9] ?? 0) >= 3]).toEqual([KernelId.fill, 3, true]);
  recorder.dispose();
  expect(heap.allocate(64, 'probe')).toBe(before);
});

test('parameter blocks larger than a chunk, and many of them', () => {
  const heap = new Heap({ shared: false, maximumBytes: 2 ** 24 });
  const recorder = new Recorder(heap, 1);
  const large = Array.from({ length: 10_000 }, (_, i) => i);
  const addresses = [
    recorder.parameters(large),
    ...Array.from({ length: 3000 }, (_, i) => recorder.parameters([i, i + 1])),
  ];
  expect([...new Uint32Array(heap.memory.buffer, addresses[0], large.length)]).toEqual(large);
  addresses
    .slice(1)
    .forEach((address, i) => expect([...new Uint32Array(heap.memory.buffer, address, 2)]).toEqual([i, i + 1]));
});
