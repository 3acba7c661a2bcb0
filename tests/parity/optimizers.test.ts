import { createCpuBackend } from '@lowrank/cpu';
import { describeOptimizers } from './optimizerCases.js';

describeOptimizers(() => createCpuBackend({ threads: 1 }));
