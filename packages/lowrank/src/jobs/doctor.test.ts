import { expect, test } from 'vitest';
import { adviceFor } from './doctor.js';

const software = { software: true, features: ['shader-f16'] };
const gpu = { software: false, features: ['shader-f16', 'subgroups'] };

test('a GPU with all that is useful needs no advice', () => {
  expect(adviceFor({ adapters: [software, gpu], problem: undefined, platform: 'linux' })).toEqual([]);
  expect(adviceFor({ adapters: [{ ...gpu, features: [] }], problem: undefined, platform: 'linux' }).join()).toContain(
    'shader-f16',
  );
});

test.each([
  ['linux', 'mesa-vulkan-drivers'],
  ['win32', 'Direct3D'],
  ['darwin', 'Metal'],
])('without a GPU on %s it says what to install', (platform, word) => {
  const advice = adviceFor({ adapters: [], problem: undefined, platform }).join('\n');
  expect(advice).toContain(word);
  expect(advice).not.toContain('software adapter');
  expect(adviceFor({ adapters: [software], problem: undefined, platform }).join('\n')).toContain('software adapter');
});

test('what kept WebGPU from being asked comes first', () => {
  expect(adviceFor({ adapters: [], problem: 'webgpu is missing', platform: 'linux' })).toEqual(['webgpu is missing']);
});
