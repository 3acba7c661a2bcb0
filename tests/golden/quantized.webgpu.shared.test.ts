import { createWebgpuBackend } from '@lowrank/webgpu';
import { quantizedSuite } from './quantizedSuite.js';

quantizedSuite('WebGPU with default limits', () => createWebgpuBackend({ allowSoftware: true, limits: 'default' }), [
  // Blocks that cross rows, and doubly quantized scales.
  ['stories260K', 'nf4Double', 4],
]);
