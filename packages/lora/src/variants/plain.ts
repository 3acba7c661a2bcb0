import { neg, sub } from '@lowrank/tensor';
import type { LoraVariant } from '../variant.js';

/**
 * LoRA (Hu et al. 2021): base(x) + s·B·A·dropout(x). Where the adapter began as a part of W (PiSSA, OLoRA), what it
 * began as is taken off again, − s·B₀·A₀·x, which PEFT does by changing W: here the base stays what it is, so that it
 * may be quantized, and shared.
 */
export const plain: LoraVariant = {
  forward({ layer, weights, x }) {
    const { initial, scale } = weights;
    const learned = layer.product(layer.dropped(x, weights), weights);
    return initial === undefined ? learned : sub(learned, layer.product(x, { ...initial, scale }));
  },
  terms({ layer, weights, x }) {
    const { initial, scale } = weights;
    const learned = layer.productTerms(layer.dropped(x, weights), weights);
    return initial === undefined
      ? learned
      : [...learned, ...layer.productTerms(x, { ...initial, scale }).map(({ h, b }) => ({ h: neg(h), b }))];
  },
  mergeRow(row, delta) {
    for (let i = 0; i < row.length; i++) row[i] += delta[i];
    return 1;
  },
  unmergeRow(row, delta) {
    for (let i = 0; i < row.length; i++) row[i] -= delta[i];
  },
};
