import { createCpuBackend } from '@lowrank/cpu';
import { describeLossTerms } from './lossTermCases.js';

describeLossTerms(() => createCpuBackend({ threads: 1 }));
