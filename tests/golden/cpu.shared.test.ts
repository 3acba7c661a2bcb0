import { createCpuBackend } from '@lowrank/cpu';
import { goldenSuite } from './goldenSuite.js';

goldenSuite({
  device: 'the CPU',
  openBackend: () => createCpuBackend(),
  models: ['stories260K', 'stories3M'],
  steps: 30,
  plainSteps: 30,
});
