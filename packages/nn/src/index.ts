export { Attention } from './attention.js';
export { AttentionBase } from './attentionBase.js';
export type { AttentionLayers, AttentionLayerOptions } from './attention.js';
export type { AttentionContext, KeyValueProvider, LayerCache, QueryKeyValue, ScoreOptions } from './attentionBase.js';
export { block, withCheckpointing } from './checkpointing.js';
export { PreNormLayer } from './decoderLayer.js';
export type { DecoderLayer } from './decoderLayer.js';
export { Conv1d } from './conv1d.js';
export { Embedding } from './embedding.js';
export { LayerNorm } from './layerNorm.js';
export { GatedMlp } from './gatedMlp.js';
export type { GatedActivation, GatedMlpLayers } from './gatedMlp.js';
export { Linear } from './linear.js';
export type { LinearOptions } from './linear.js';
export { Sequential } from './sequential.js';
export type { SequentialStep } from './sequential.js';
export { Mlp } from './mlp.js';
export { isLayer, isLinearLike, Module } from './module.js';
export { Parameter } from './parameter.js';
export type { Layer, LinearLike } from './module.js';
export { biasTerms, isProjection, projected } from './projection.js';
export type { Projection, ProjectionParts } from './projection.js';
export { RmsNorm } from './rmsNorm.js';
export { RotaryTable } from './rotary.js';
export type { RotaryOptions, RotaryReach } from './rotary.js';
export type {
  DynamicScaling,
  LinearScaling,
  Llama3Scaling,
  LongRopeScaling,
  RotaryScaling,
  YarnScaling,
} from './rotaryScaling.js';
export { Dropout, trainingDropout, withDropout } from './dropout.js';
export { lossTerms, withLossTerms } from './lossTerms.js';
export { noisyEmbeddings, withNeftune } from './neftune.js';
export { TiedLinear, TiedParameter } from './tiedLinear.js';
export { ModuleList } from './moduleList.js';
export type { TrainedParameter } from './trainedParameter.js';
export { isResized, isTokenModel, resizedRows, resizeTokens } from './resizeTokens.js';
export type { TokenModel } from './resizeTokens.js';
