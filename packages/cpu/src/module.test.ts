import { expect, test } from 'vitest';
import { loadModule } from './module.js';

test.each([true, false])('compiles both tiers for shared: %s', async (shared) => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared });
  for (const relaxedSimd of [true, false]) {
    const { module, tier } = await loadModule(shared, relaxedSimd);
    if (!relaxedSimd) expect(tier).toBe('baseline');
    const { exports } = await WebAssembly.instantiate(module, { env: { memory } });
    expect(Object.keys(exports).sort()).toEqual(['init', 'memory', 'rejoin', 'runAlone', 'runTogether', 'work']);
  }
});

test('the memory kinds are told apart', async () => {
  const { module } = await loadModule(true);
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536 });
  await expect(WebAssembly.instantiate(module, { env: { memory } })).rejects.toThrow(WebAssembly.LinkError);
});
