export { dequantizedFile } from './dequantizedFile.js';
export { ErrorStatistics } from './numeric/errorStatistics.js';
export type { QuantizationError } from './numeric/errorStatistics.js';
export { widen } from './numeric/floats.js';
export type { FloatDtype, Floats } from './numeric/floats.js';
export { blockSizes, fourBitCodecs } from './fourBit.js';
export type { FourBitCodec, FourBitType } from './fourBit.js';
export { quantizeAbsmax } from './numeric/nested.js';
export type { NestedAbsmax } from './numeric/nested.js';
export { codesOf } from './heldCodes.js';
export { QuantizedEmbedding, TiedQuantizedLinear } from './quantizedEmbedding.js';
export { QuantizedLinear } from './quantizedLinear.js';
export { absmaxOf, dequantize, dequantizePart } from './dequantize.js';
export { openQuantizer } from './openQuantizer.js';
export { quantize, Quantizer } from './quantizer.js';
export type { QuantizeOptions } from './quantizer.js';
export { encodingOf, operandOf, quantizedBytes } from './quantizedTensor.js';
export type {
  FourBitTensor,
  Int8Tensor,
  QuantizationType,
  QuantizedLayout,
  QuantizedTensor,
} from './quantizedTensor.js';
export {
  isSkipped,
  parseQuantizationConfig,
  serializeQuantizationConfig,
  withQuantizationConfig,
} from './quantizationConfig.js';
export type { QuantizationConfig } from './quantizationConfig.js';
export { findQuantized, readQuantized, storedEncoding } from './storedQuantized.js';
export type { StoredFourBit, StoredInt8, StoredQuantized } from './readQuantized.js';
export { quantizedEntries } from './writeQuantized.js';
export type { QuantizedEntry } from './writeQuantized.js';
export { dynamicMap } from '@lowrank/tensor/op';
export { checkSettings, emptyMatrix, encodingFor } from './settings.js';
export type { QuantizationSettings } from './settings.js';
export { quantizationSettings } from './quantizationSettings.js';
