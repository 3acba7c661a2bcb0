import type { LoraAdapter } from '@lowrank/lora';
import { isTokenModel, resizedRows } from '@lowrank/nn';
import type { CheckpointTensor } from '@lowrank/patch';
import { grownVocabulary } from '@lowrank/patch';
import { fromNumbers, toFloat32 } from '@lowrank/tensor';
import { hostArray } from '@lowrank/tensor/op';
import type { MergeBase, MethodModel } from './method.js';

type Base = Pick<MergeBase, 'config' | 'tensors'>;

/**
 * A model folder with as many tokens as an adapter was trained over, where that is more than it has: its tables have
 * more rows, the mean of the others, and its configuration says so.
 */
export function grownBase<Given extends Base>(base: Given, outline: MethodModel, adapter: LoraAdapter): Given {
  const count = grownVocabulary(outline, adapter);
  if (count === undefined || !isTokenModel(outline)) return base;
  const tables = new Set([`${outline.embeddingPath}.weight`, `${outline.outputPath}.weight`]);
  return {
    ...base,
    config: withVocabulary(base.config, count),
    tensors: base.tensors.map((tensor) => (tables.has(tensor.name) ? grown(tensor, count) : tensor)),
  };
}

/** A config.json with another number of tokens, which models of text and images have in a config of the text part. */
export function withVocabulary(config: MergeBase['config'], count: number): MergeBase['config'] {
  const { text_config: text } = config;
  if (typeof text !== 'object' || text === null) return { ...config, vocab_size: count };
  return { ...config, text_config: { ...text, vocab_size: count } };
}

function grown(tensor: CheckpointTensor, count: number): CheckpointTensor {
  const { shape, dtype: stored } = tensor;
  const [rows = 0, width = 0] = shape;
  const dtype = stored === 'F16' ? 'f16' : stored === 'BF16' ? 'bf16' : 'f32';
  return {
    ...tensor,
    shape: [count, width],
    async read() {
      // In memory of its own, which is aligned.
      const values = toFloat32(hostArray(dtype, new Uint8Array(await tensor.read()).buffer), dtype);
      const data = resizedRows(values, [rows, width], count);
      const made = dtype === 'f32' ? data : fromNumbers(data, dtype);
      return new Uint8Array(made.buffer, made.byteOffset, made.byteLength);
    },
  };
}
