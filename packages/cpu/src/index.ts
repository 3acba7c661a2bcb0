export { createCpuBackend } from './backend.js';
export type { CpuOptions } from './backend.js';
