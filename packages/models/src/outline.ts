import type { QuantizationSettings } from '@lowrank/quant';
import { checkSettings, QuantizedLinear } from '@lowrank/quant';
import type { DType } from '@lowrank/tensor';
import { persistent } from '@lowrank/tensor';
import { sizeOf } from '@lowrank/tensor/op';
import type { CausalModel } from './causalModel.js';
import type { HeadRequest } from './head.js';
import type { TaskModel } from './taskModel.js';
import { ConfigReader } from './config.js';
import type { StoredCodes } from '@lowrank/gguf';
import { placeBlocks, placeCodes, quantizes } from './placement.js';
import { familyOf } from './registry.js';
import type { WeightRequest, WeightSource } from './weights.js';
import { weightSource } from './weights.js';

/** Options of `outlineModel`: how a model that holds nothing would be stored. */
export interface OutlineOptions {
  /** Of the matrices that are not quantized; vectors are f32, as when a model is loaded. Default f32. */
  readonly dtype?: Extract<DType, 'f32' | 'f16' | 'bf16'>;
  /** Of the linear layers' matrices, as when a model is loaded. */
  readonly quantization?: QuantizationSettings | undefined;
  /** Of linear layers' matrices by path, as a GGUF file has them; not beside `quantization`. */
  readonly codes?: ReadonlyMap<string, StoredCodes> | undefined;
  /** For errors. */
  readonly name?: string;
}

/**
 * The model of a config.json without its weights: tensors of the right shapes and dtypes that hold nothing and cost
 * nothing until they are used. To be traced and planned.
 *
 * @throws LowrankError `models.config`, `models.unknownType`, `quant.settings`, `quant.blockSize`
 */
export function outlineModel(
  config: Readonly<Record<string, unknown>>,
  { name = 'config.json', ...options }: OutlineOptions = {},
): CausalModel {
  if (options.quantization !== undefined) checkSettings(options.quantization);
  return outlineOf(new ConfigReader(config, name), options);
}

/** The same from a reader. */
export function outlineOf(
  reader: ConfigReader,
  { dtype = 'f32', quantization, codes }: Omit<OutlineOptions, 'name'> = {},
): CausalModel {
  return familyOf(reader).build(reader, outlineSource({ dtype, quantization, codes }));
}

/** The same with the head of a task. */
export function outlineTaskModel(
  config: Readonly<Record<string, unknown>>,
  request: HeadRequest,
  { name = 'config.json', dtype = 'f32', quantization, codes }: OutlineOptions = {},
): TaskModel {
  if (quantization !== undefined) checkSettings(quantization);
  const reader = new ConfigReader(config, name);
  return familyOf(reader).buildTask(reader, outlineSource({ dtype, quantization, codes }), request);
}

function outlineSource({
  dtype,
  quantization,
  codes,
}: Required<Pick<OutlineOptions, 'dtype'>> & Pick<OutlineOptions, 'quantization' | 'codes'>): WeightSource {
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
  });
}
