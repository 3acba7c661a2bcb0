import type { QuantizationSettings } from '@lowrank/quant';
import { checkSettings } from '@lowrank/quant';
import type { DType } from '@lowrank/tensor';
import type { CausalModel } from './causalModel.js';
import type { HeadRequest } from './head.js';
import type { TaskModel } from './taskModel.js';
import { ConfigReader } from './config.js';
import type { StoredCodes } from '@lowrank/gguf';
import { outlineSource } from './outlineSource.js';
import { familyOf } from './registry.js';

/** Options of `outlineModel`: how a model that holds nothing would be stored. */
export interface OutlineOptions {
  /** Of the matrices that are not quantized; vectors are f32, as when a model is loaded. Default f32. */
  readonly dtype?: Extract<DType, 'f32' | 'f16' | 'bf16'>;
  /** Of the linear layers' matrices, as when a model is loaded. */
  readonly quantization?: QuantizationSettings | undefined;
  /** Of linear layers' matrices by path, as a GGUF file has them; not beside `quantization`. */
  readonly codes?: ReadonlyMap<string, StoredCodes> | undefined;
  /** Whether the embedding of tokens and the output projection are in 8-bit rows. */
  readonly quantizeEmbeddings?: boolean | undefined;
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
  { dtype = 'f32', ...options }: Omit<OutlineOptions, 'name'> = {},
): CausalModel {
  return familyOf(reader).build(reader, outlineSource({ dtype, ...options }));
}

/** The same with the head of a task. */
export function outlineTaskModel(
  config: Readonly<Record<string, unknown>>,
  request: HeadRequest,
  { name = 'config.json', dtype = 'f32', ...options }: OutlineOptions = {},
): TaskModel {
  if (options.quantization !== undefined) checkSettings(options.quantization);
  const reader = new ConfigReader(config, name);
  return familyOf(reader).buildTask(reader, outlineSource({ dtype, ...options }), request);
}
