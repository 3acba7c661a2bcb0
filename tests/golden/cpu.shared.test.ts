import { createCpuBackend } from '@lowrank/cpu';
import { goldenSuite } from './goldenSuite.js';

goldenSuite('the CPU', () => createCpuBackend());
