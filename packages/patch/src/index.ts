export {
  adaptedLayers,
  attachAdapter,
  createAdapter,
  extractAdapter,
  injectAdapter,
  loadAdapter,
  removeAdapter,
  removeAdapters,
  setActiveAdapters,
  streamOf,
  trainOnly,
  withoutAdapters,
} from './adapters.js';
export type { AdapterOptions } from './adapters.js';
export { injectEva } from './injectEva.js';
export type { EvaAdapter, EvaAdapterOptions } from './injectEva.js';
export { measureInputs } from './inputMoments.js';
export type { InputBatch, MeasuredInput, MeasureOptions } from './inputMoments.js';
export { AdapterBank, bankFor, openAdapterBank } from './adapterBank.js';
export type { PreparedAdapter } from './adapterBank.js';
export type { AdapterBankOptions } from './bankLayers.js';
export type { AdapterChoice } from './bankChoice.js';
export { injectLoftq } from './injectLoftq.js';
export type { LoftqAdapterOptions, LoftqBase } from './injectLoftq.js';
export { withLoraPlus } from './loraPlus.js';
export { mergedTensors } from './merge.js';
export { mergeAdapters, unmergeAdapters } from './mergeInPlace.js';
export type { MergeInPlaceOptions } from './mergeInPlace.js';
export { mergeIntoModel } from './mergeIntoModel.js';
export { copiesOf } from './savedModules.js';
export { tokenLayers } from './trainedRows.js';
export { seenInputs } from './seenInputs.js';
export { swapAdapter } from './swapAdapter.js';
export { tableRows } from './tableRows.js';
export type { CheckpointTensor } from './merge.js';
export { matchTargets } from './targets.js';
