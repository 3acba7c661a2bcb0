import { createWebgpuBackend } from '@lowrank/webgpu';
import { goldenSuite } from './goldenSuite.js';

goldenSuite('WebGPU with default limits', () => createWebgpuBackend({ allowSoftware: true, limits: 'default' }));
