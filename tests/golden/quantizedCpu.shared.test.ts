import { createCpuBackend } from '@lowrank/cpu';
import { quantizedSuite } from './quantizedSuite.js';

quantizedSuite('the CPU', () => createCpuBackend(), [
  ['stories260K', 'nf4'],
  ['stories260K', 'nf4Double'],
  ['stories260K', 'fp4'],
  ['stories3M', 'nf4'],
  ['stories3M', 'nf4Double'],
]);
