import { createWebgpuBackend } from '@lowrank/webgpu';
import { describeLossTerms } from './lossTermCases.js';

describeLossTerms(() => createWebgpuBackend({ limits: 'default' }));
