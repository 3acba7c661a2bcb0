import { createCpuBackend } from '@lowrank/cpu';
import { quantizedSuite } from './quantizedSuite.js';

quantizedSuite('the CPU', () => createCpuBackend(), [
  ['stories260K', 'nf4', 30],
  ['stories260K', 'nf4Double', 30],
  ['stories260K', 'fp4', 30],
]);
