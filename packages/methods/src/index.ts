export { biasShifts } from './biasShifts.js';
export { bitfit } from './bitfit.js';
export type { BitfitSettings } from './bitfit.js';
export { bottleneckAdapter } from './bottleneckAdapter.js';
export type { BottleneckSettings } from './bottleneckAdapter.js';
export type {
  CommonSettings,
  MethodAdapter,
  MethodModel,
  MethodTensor,
  ModelSizes,
  Tuning,
  TuningMethod,
} from './method.js';
export { methodFileBytes, readMethod, serializeMethod } from './methodFiles.js';
export { prefixTuning } from './prefixTuning.js';
export type { PrefixSettings } from './prefixTuning.js';
export { promptTuning } from './promptTuning.js';
export type { PromptSettings } from './promptTuning.js';
export { attachMethod, isMethodType, methodNames, methodOf, tuningMethods } from './tuningMethods.js';
export type { MethodName } from './tuningMethods.js';
export { foldSubspace, injectSubspace, projections, removeSubspace } from './subspace.js';
export type { ProjectionName, Subspace, SubspaceOptions, SubspaceSettings } from './subspace.js';
export {
  extractSubspace,
  isSubspaceConfig,
  loadSubspace,
  readSubspace,
  serializeSubspace,
  subspaceType,
} from './subspaceFiles.js';
export type { StoredSubspace } from './subspaceFiles.js';
export { bitfitSettings } from './bitfitSettings.js';
export { bottleneckSettings } from './bottleneckSettings.js';
export { subspaceSettings } from './subspaceSettings.js';
export { prefixSettings, promptSettings } from './virtualSettings.js';
