import { createWebgpuBackend } from '@lowrank/webgpu';
import { describeOptimizers } from './optimizerCases.js';

describeOptimizers(() => createWebgpuBackend({ limits: 'default' }));
