import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { scratch } from './testing.js';
import { tuningStore } from './tuningStore.js';

test('what was measured lies beside the hub’s cache, a file for each device', async () => {
  using home = scratch();
  vi.stubEnv('HF_HOME', home.path);
  try {
    expect(await tuningStore.read('amd-rdna-3-subgroups-f32')).toBeUndefined();
    await tuningStore.write('amd-rdna-3-subgroups-f32', 'first');
    await tuningStore.write('amd-rdna-3-subgroups-f32', 'second');
    expect(await tuningStore.read('amd-rdna-3-subgroups-f32')).toBe('second');
    expect(readdirSync(join(home.path, 'lowrank/tuning'))).toEqual(['amd-rdna-3-subgroups-f32.json']);
  } finally {
    vi.unstubAllEnvs();
  }
});
