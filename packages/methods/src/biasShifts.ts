import type { MethodAdapter } from './method.js';

/** What BitFit has added to each layer's bias, by the layer's path. */
export function biasShifts({ tensors }: MethodAdapter): Map<string, Float32Array> {
  return new Map(
    [...tensors].map(([key, { data }]) => [
      key.replace(/^base_model\.model\./, '').replace(/\.(beft_bias|bias_shift)$/, ''),
      data,
    ]),
  );
}
