export {
  chatTemplate,
  createSampler,
  encodeChat,
  encodeRows,
  evaluationBatches,
  largestBatches,
  loadDataset,
  loadTokenizer,
  readChatTemplate,
  readDataset,
  readTokenizer,
  renderChat,
  textStream,
  trainingBatches,
  withVirtualTokens,
} from '@lowrank/data';
export type {
  ChatMessage,
  ChatTemplate,
  Dataset,
  EncodedRow,
  TextTokenizer,
  TokenBatch,
  TrainingBatchOptions,
} from '@lowrank/data';
export { isLowrankError, LowrankError } from '@lowrank/errors';
export {
  combineAdapters,
  inspectAdapter,
  loraConfig,
  readAdapter,
  readMlxAdapter,
  serializeAdapter,
} from '@lowrank/lora';
export type { AdapterReport, CombineOptions, LoraAdapter, LoraConfig, WeightedAdapter } from '@lowrank/lora';
export { methodNames, methods, readMethod } from '@lowrank/methods';
export type { AppliedMethod, Method, MethodAdapter, MethodName, SavedMethod } from '@lowrank/methods';
export {
  createGenerator,
  downloadModel,
  filesFrom,
  findModel,
  generate,
  loadModel,
  openDirectory,
  openFolder,
  originCache,
} from '@lowrank/models';
export type {
  CausalModel,
  GeneratedText,
  GenerateOptions,
  Generator,
  ModelFiles,
  TransferProgress,
} from '@lowrank/models';
export {
  activateAdapter,
  addAdapter,
  bankFor,
  mergeAdapter,
  openAdapterBank,
  removeAdapter,
  unmergeAdapter,
} from '@lowrank/patch';
export type { AdapterBank, AdapterBankOptions, PlacedAdapter } from '@lowrank/patch';
export { readTensor, setDefaultBackend } from '@lowrank/tensor';
export type { Backend, Tensor } from '@lowrank/tensor';
export { evaluate, NonFiniteError, train } from '@lowrank/trainer';
export type {
  Batch,
  Evaluation,
  LossFunction,
  TrainEvent,
  TrainOptions,
  TrainResult,
  TrainSession,
} from '@lowrank/trainer';
export { chooseBackend, devices } from './device.js';
export type { BackendOrOpener, ChosenBackend, DeviceName } from './device.js';
export { loadAdapter } from './loadAdapter.js';
export { saveAdapter } from './saveAdapter.js';
