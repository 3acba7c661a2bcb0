import { createWebgpuBackend } from '@lowrank/webgpu';
import { goldenSuite } from './goldenSuite.js';

// stories3M takes a software adapter minutes: WebGPU trains it once, in Chromium (tests/browser/golden.shared.test.ts).
goldenSuite({
  device: 'WebGPU with default limits',
  openBackend: () => createWebgpuBackend({ allowSoftware: true, limits: 'default' }),
  models: ['stories260K'],
  steps: 10,
  plainSteps: 2,
});
