import { createWebgpuBackend } from '@lowrank/webgpu';
import { describeAdamw8bit } from './adamw8bitCases.js';

describeAdamw8bit(() => createWebgpuBackend({ limits: 'default' }));
