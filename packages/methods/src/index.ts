export type {
  AdapterSource,
  AppliedMethod,
  SharedOptions,
  MergeBase,
  MergedModel,
  Method,
  MethodAdapter,
  MethodContext,
  MethodFiles,
  MethodModel,
  OptionsOfMethod,
  MethodTensor,
  ModelSizes,
  OriginTensor,
  TextEncoder,
} from './method.js';
export { bitfit } from './bitfit.js';
export { bitfitSettings } from './bitfitSettings.js';
export { bottleneckAdapter } from './bottleneckAdapter.js';
export { bottleneckSettings, defaultBottleneck } from './bottleneckSettings.js';
export { fullFineTuning } from './full.js';
export { foldSubspace, injectSubspace, projections, removeSubspace } from './injectSubspace.js';
export type { ProjectionName, Subspace, SubspaceOptions, SubspaceSettings } from './injectSubspace.js';
export { ia3 } from './ia3.js';
export { lora } from './lora.js';
export { loraRunSettings } from './loraRunSettings.js';
export { contenderNamed, contenderNames, methodNamed, methodNames, methodOf, methods, readMethod } from './methods.js';
export type { Contender, ContenderName, MethodName, SavedMethod } from './methods.js';
export { prefixTuning } from './prefixTuning.js';
export { promptTuning } from './promptTuning.js';
export { subspace } from './subspace.js';
export { subspaceSettings } from './subspaceSettings.js';
export { grownBase, withVocabulary } from './grownBase.js';
export { untie } from './untie.js';
export { defaultVirtualTokens, prefixSettings, promptSettings } from './virtualSettings.js';
