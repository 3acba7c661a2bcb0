export { cpuBackend } from './backend.js';
export type { CpuOptions } from './backend.js';
