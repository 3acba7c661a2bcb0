export { parseAdapterConfig, serializeAdapterConfig } from './adapterConfig.js';
export { adapterFileBytes, readAdapter, serializeAdapter } from './adapterFiles.js';
export type { LoraAdapter, LoraMatrices, WholeTensor, LoraSizes, StoredDtype } from './adapterFiles.js';
export { defaultTargets, loraConfig, pathExpression, rankAt, scalingAt } from './config.js';
export type { LoraConfig, LoraInit } from './config.js';
export { LoraLinear } from './loraLinear.js';
export type { LoraWeights, NewLora } from './loraLinear.js';
export { mergeWeight } from './merge.js';
export type { LowRankUpdate, MergeDtype } from './merge.js';
