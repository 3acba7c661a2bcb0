export type { GgufArchitecture } from './architecture.js';
export { convertAdapter } from './convertAdapter.js';
export type { AdapterToConvert } from './convertAdapter.js';
export { convertModel } from './convertModel.js';
export type { ModelToConvert, StoredTensor } from './convertModel.js';
export { writeGguf } from './format.js';
export type { GgufFile, GgufMetadata, GgufTensor, GgufValue } from './format.js';
export type { Json } from './json.js';
export type { TokenizerLike, VocabularyFiles } from './vocabulary.js';
