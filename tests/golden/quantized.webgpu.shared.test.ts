import { createWebgpuBackend } from '@lowrank/webgpu';
import { quantizedSuite } from './quantizedSuite.js';

quantizedSuite('WebGPU with default limits', () => createWebgpuBackend({ allowSoftware: true, limits: 'default' }), [
  ['stories260K', 'nf4Double'],
  ['stories3M', 'nf4'],
]);
