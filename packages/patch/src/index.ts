export { adaptedLayers, extractAdapter, injectAdapter, loadAdapter, removeAdapter, removeAdapters, setActiveAdapters, trainOnly, withoutAdapters } from './adapters.js';
export type { AdapterOptions, NamedParameter } from './adapters.js';
export { mergedTensors } from './merge.js';
export { mergeIntoModel } from './mergeIntoModel.js';
export { swapAdapter } from './swapAdapter.js';
export type { CheckpointTensor } from './merge.js';
export { matchTargets } from './targets.js';
export type { TargetOptions } from './targets.js';
