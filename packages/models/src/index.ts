export type { CachedBlob, ModelCache, PartialBlob } from './cache.js';
export { folderCache } from './cacheFolder.js';
export { originCache } from './cacheOrigin.js';
export { CausalModel } from './causalModel.js';
export type { LossBatch } from './causalModel.js';
export { headClasses, peftHeads, taskTypes } from './head.js';
export type { Head, HeadKind, HeadRequest } from './head.js';
export { meanOf, TaskModel } from './taskModel.js';
export type { TaskBatch } from './taskModel.js';
export { TextModel } from './textModel.js';
export type { ModelShape } from './textModel.js';
export { ConfigReader } from './config.js';
export type { ModelFamily } from './family.js';
export type { FamilyFacts, LlamaCppNames } from './familyFacts.js';
export { companionFiles, filesBy, filesFrom, openFolder, openWeights, readJson, requireFile } from './files.js';
export type { ModelFiles } from './files.js';
export { openDirectory } from './filesDirectory.js';
export { findModel, shownPlace } from './filesFind.js';
export type { FindOptions, FoundModel } from './filesFind.js';
export { modelFileNames } from './fetchFiles.js';
export { downloadModel, lookAtRemote } from './filesRemote.js';
export { createDigest } from './hubDigest.js';
export type { DownloadedModel, DownloadOptions, RemoteModel } from './filesRemote.js';
export { isGgufName } from './ggufName.js';
export { remoteGguf } from './remoteGguf.js';
export type { RemoteGguf } from './remoteGguf.js';
export { ggufFiles } from './ggufFiles.js';
export { createGenerator, generate } from './generate.js';
export type { GeneratorOptions, Generator } from './generate.js';
export { parseHubId } from './hub.js';
export type { HubId } from './hub.js';
export {
  createModel,
  loadCausalModel,
  loadTaskModel,
  openModelWeights,
  outlineFolder,
  outlineTaskFolder,
} from './load.js';
export type { LoadOptions, StoredWeights } from './load.js';
export { outlineModel, outlineTaskModel } from './outline.js';
export type { OutlineOptions } from './outline.js';
export type { TransferTiming } from './transferTiming.js';
export type { Pause } from '@lowrank/safetensors';
export { TransferMeter } from './progress.js';
export type { TransferProgress } from './progress.js';
export { familyOf, findFamily } from './registry.js';
export type { SamplingOptions } from './sampling.js';
export type { EndReason, GeneratedText, Prompt, TextEndOptions, TokenText } from './textEnds.js';
export { storedCodes } from './storedCodes.js';
export type { WeightRequest, WeightSource } from './weights.js';
