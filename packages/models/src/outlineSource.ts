import type { StoredCodes } from '@lowrank/gguf';
import type { QuantizationSettings } from '@lowrank/quant';
import { QuantizedLinear } from '@lowrank/quant';
import type { DType } from '@lowrank/tensor';
import { persistent } from '@lowrank/tensor';
import { sizeOf } from '@lowrank/tensor/op';
import { placeBlocks, placeCodes, quantizes, tableSettings } from './placement.js';
import type { WeightRequest, WeightSource } from './weights.js';
import { weightSource } from './weights.js';

/** Weights that hold nothing and cost nothing until they are used. */
export function outlineSource({
  dtype,
  quantization,
  codes,
  quantizeEmbeddings = false,
}: {
  readonly dtype: Extract<DType, 'f32' | 'f16' | 'bf16'>;
  readonly quantization?: QuantizationSettings | undefined;
  readonly codes?: ReadonlyMap<string, StoredCodes> | undefined;
  readonly quantizeEmbeddings?: boolean | undefined;
}): WeightSource {
  // Two 16-bit elements share a word.
  const dtypeOf = ({ kind, shape }: WeightRequest): DType =>
    kind !== 'vector' && sizeOf(shape) % 2 === 0 ? dtype : 'f32';
  return weightSource({
    tensor: (request) => persistent(request.shape, { dtype: dtypeOf(request), name: request.name }),
    linear(request, bias) {
      const stored = quantization === undefined ? codes?.get(request.name) : undefined;
      if (stored !== undefined) return new QuantizedLinear(placeBlocks(request, stored).matrix, bias());
      return quantization === undefined || !quantizes(quantization, request)
        ? undefined
        : new QuantizedLinear(placeCodes(request, quantization).matrix, bias());
    },
    table: (request) =>
      quantizeEmbeddings ? { matrix: placeCodes(request, tableSettings).matrix, dtype: dtypeOf(request) } : undefined,
  });
}
