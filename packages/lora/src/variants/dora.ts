import { Parameter } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { add, div, linear, maximum, mul, sqrt, stopGradient, sub, sum, tensor, transpose } from '@lowrank/tensor';
import { squaredRowNorms } from '../numeric/baseWeight.js';
import type { LoraVariant, LoraWeights, VariantLayer } from '../variant.js';

/**
 * DoRA (Liu et al. 2024): y = m/‖W + sBA‖ · (W + sBA)·x + bias. The norm is that of each output's row, and no gradient
 * goes through it (section 4.3 of the paper); m [out] starts as that norm.
 *
 * The norm comes from ‖Wᵢ‖² (constant, computed once), W·Aᵀ and A·Aᵀ: ‖Wᵢ + s·Bᵢ·A‖² = ‖Wᵢ‖² + 2s·Bᵢ·(A·Wᵀ)ᵢ +
 * s²·Bᵢ·(A·Aᵀ)·Bᵢᵀ. So W may be in any encoding, and W + ΔW is never formed.
 */
export const dora: LoraVariant = {
  asked: ({ useDora }) => useDora === true,
  vector: 'lora_magnitude_vector',
  forward({ layer, weights, x, base }) {
    const input = layer.dropped(x, weights);
    // With dropout the whole of W + sBA sees the dropped input, as PEFT has it.
    const plain = layer.withoutBias(input === x ? base : layer.base.forward(input));
    const factor = factorOf(layer, weights);
    return add(mul(sub(factor, 1), plain), mul(factor, layer.product(input, weights)));
  },
  factor: factorOf,
  async prepare(layer, weights) {
    const squares = await squaredRowNorms(layer);
    const vector =
      weights.vector ??
      new Parameter(tensor(squares.map(Math.sqrt), [layer.outFeatures], { name: 'lora_magnitude_vector' }));
    return { ...weights, vector, constant: tensor(squares, [layer.outFeatures], { name: 'squaredRowNorms' }) };
  },
  mergeRow(row, delta, magnitude) {
    let squares = 0;
    for (let i = 0; i < row.length; i++) {
      row[i] += delta[i];
      squares += row[i] ** 2;
    }
    const factor = Math.fround(magnitude / Math.fround(Math.sqrt(squares)));
    for (let i = 0; i < row.length; i++) row[i] = factor * row[i];
    return factor;
  },
  unmergeRow(row, delta, { kept: factor }) {
    for (let i = 0; i < row.length; i++) row[i] = Math.fround(row[i] / factor) - delta[i];
  },
  resting: (magnitudes) => magnitudes.map((magnitude) => magnitude ** 2),
};

/** m/‖W + sBA‖ [out] */
function factorOf(layer: VariantLayer, weights: LoraWeights): Tensor {
  const { vector, constant } = weights;
  if (vector === undefined || constant === undefined)
    throw new TypeError('DoRA without magnitudes: its weights were not prepared');
  return div(vector.tensor, stopGradient(rowNorms(layer, weights, constant)));
}

/** ‖Wᵢ + s·Bᵢ·A‖ [out] */
function rowNorms(
  layer: VariantLayer,
  { a: { tensor: a }, b: { tensor: b }, scale }: LoraWeights,
  squares: Tensor,
): Tensor {
  const cross = sum(mul(transpose(layer.project(a)), b), { axis: -1 });
  const own = sum(mul(linear(b, linear(a, a)), b), { axis: -1 });
  // Rounding may take a norm that is nearly 0 below it.
  return sqrt(maximum(add(squares, mul(scale, add(mul(cross, 2), mul(own, scale)))), 1e-30));
}
