export { adapterName, isSoftware, listAdapters } from './adapters.js';
export type { AdapterDescription, AdapterTraits } from './adapters.js';
export { requestDevice, WebgpuDevice } from './device.js';
export type { DeviceOptions, Tier } from './device.js';
export type { Counters } from './counters.js';
export type { WebgpuErrorCode } from './gpuErrors.js';
export type { Limits } from './constants.js';
