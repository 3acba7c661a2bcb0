import { createCpuBackend } from '@lowrank/cpu';
import { describeAdamw8bit } from './adamw8bitCases.js';

describeAdamw8bit(() => createCpuBackend({ threads: 1 }));
