export { parseAdapterConfig, serializeAdapterConfig } from './adapterConfig.js';
export { readAdapter, readAdapterFiles } from './readAdapter.js';
export { adapterFileBytes, serializeAdapter } from './serializeAdapter.js';
export { headsOfTask } from './sideTensors.js';
export type { LoraAdapter, LoraAdapterFiles, LoraMatrices, WholeTensor, StoredDtype } from './loraAdapter.js';
export type { OtherSizes, LoraSizes } from './serializeAdapter.js';
export { combineAdapters, combineMethods } from './combine.js';
export type { CombineOptions, WeightedAdapter } from './combine.js';
export type { CombineMethod } from './numeric/combineLayer.js';
export { checkLoraConfig, evaConfig } from './checkConfig.js';
export type { EvaConfig } from './checkConfig.js';
export { loraConfig } from './config.js';
export type { LoraConfig } from './config.js';
export { alphaAt, rankAt, scalingAt } from './scaling.js';
export { evaDirections, evaMatrix, evaRanks, principalDirections } from './eva.js';
export type { EvaLayer, InputMoments, PrincipalDirections } from './eva.js';
export { holdsNothing } from './numeric/baseWeight.js';
export { frozenHalf } from './initOf.js';
export { beginsInBase, beginsOutside, isLoraInit, loraInits } from './loraInit.js';
export type { LoraInit } from './loraInit.js';
export { PathPattern } from './pathPattern.js';
export type { PatternUse } from './pathPattern.js';
export { evaSettings } from './evaSettings.js';
export { loraSettings } from './settings.js';
export { LoraEmbedding } from './loraEmbedding.js';
export {
  bankEntry,
  BankMix,
  bankRank,
  fitsBank,
  LoraBankEmbedding,
  LoraBankLayer,
  LoraBankLinear,
} from './bank/index.js';
export type { BankAbilities, BankEntry, BankSizes, EntryOptions } from './bank/index.js';
export { LoraLayer } from './loraLayer.js';
export { LoraLinear } from './loraLinear.js';
export type { MergedAdapter, NewLora } from './loraLayer.js';
export { loftqInit } from './numeric/loftq.js';
export type { LoftqOptions, LoftqWeights } from './numeric/loftq.js';
export { TokenRows, tokenWeights } from './tokenRows.js';
export type { TokenWeights } from './tokenRows.js';
export { tokenLists } from './trainedTokens.js';
export type { TokenIndices, TrainedRows } from './trainedTokens.js';
export { truncatedSvd } from './numeric/svd.js';
export type { SvdOptions, TruncatedSvd } from './numeric/svd.js';
export { mergeWeight, unmergeWeight } from './numeric/merge.js';
export type { LowRankUpdate, MergeDtype } from './numeric/merge.js';
export { inspectAdapter } from './inspect.js';
export type { AdapterReport, LayerReport } from './inspect.js';
export {
  denseSpectrum,
  directionsFor,
  energyShare,
  largestExactSpectrum,
  productSpectrum,
  subspaceSimilarity,
} from './spectrum.js';
export type { Spectrum, SpectrumOptions } from './spectrum.js';
export { tensorNumbers } from './tensorNumbers.js';
export { readMlxAdapter } from './mlx.js';
export type { MlxFiles } from './mlx.js';
export { mlxFiles } from './mlxFiles.js';
export type { MlxAdapter } from './mlxFiles.js';
export { plainConfig, plainMatrices } from './plainAdapter.js';
export type { LoraVariant, LoraWeights, NamedVariant, VariantCall, VariantLayer } from './variant.js';
export { variantOf } from './variantOf.js';
