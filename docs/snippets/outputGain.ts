import type { NamedVariant } from '@lowrank/lora';
import { Parameter } from '@lowrank/nn';
import { mul, tensor } from '@lowrank/tensor';

/** y = W·x + m ⊙ (s·B·A·x): each output has a gain of its own, m [out], trained beside A and B. It begins as 1. */
export const outputGain: NamedVariant = {
  name: 'outputGain',
  vector: 'lora_output_gain',
  prepare({ outFeatures }, weights) {
    const ones = new Float32Array(outFeatures).fill(1);
    return Promise.resolve({
      ...weights,
      vector: weights.vector ?? new Parameter(tensor(ones, [outFeatures], { name: 'lora_output_gain' })),
    });
  },
  forward({ layer, weights, x }) {
    const { vector } = weights;
    if (vector === undefined) throw new TypeError('outputGain was not prepared');
    return mul(vector.tensor, layer.product(layer.dropped(x, weights), weights));
  },
  mergeRow(row, delta, gain) {
    for (let i = 0; i < row.length; i++) row[i] = (row[i] ?? NaN) + Math.fround(gain * (delta[i] ?? NaN));
    return 1;
  },
  unmergeRow(row, delta, { vector: gain }) {
    for (let i = 0; i < row.length; i++) row[i] = (row[i] ?? NaN) - Math.fround(gain * (delta[i] ?? NaN));
  },
};
