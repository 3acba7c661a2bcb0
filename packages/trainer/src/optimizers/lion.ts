import { add, mul, sign, sub } from '@lowrank/tensor';
import { segmentBlock } from '@lowrank/tensor/op';
import { blocksOf } from './blocks.js';
import type { Optimizer, UpdateRule } from './optimizer.js';
import { stateLike, stateNamed } from './optimizer.js';

const defaults = { beta1: 0.9, beta2: 0.99 } as const;

/** One moment in f32: 4 bytes for each parameter. */
const lionRule: UpdateRule = {
  alignment: segmentBlock,
  makeState: (shape) => ({ momentum: stateLike(shape, 'momentum') }),
  update(vector) {
    const { beta1 = defaults.beta1, beta2 = defaults.beta2 } = vector.numbers;
    const { factor, decay, rows, written } = blocksOf(vector);
    const before = stateNamed(vector.state, 'momentum');
    const [p, m, g] = [rows(vector.parameters), rows(before), mul(rows(vector.gradient), vector.clip)];
    const rate = mul(vector.scalars.learningRate, factor);
    const direction = sign(add(mul(m, beta1), mul(g, 1 - beta1)));
    const moved = sub(mul(p, sub(1, mul(rate, decay))), mul(rate, direction));
    const momentum = add(mul(m, beta2), mul(g, 1 - beta2));
    return {
      parameters: written(moved, vector.parameters),
      state: { momentum: written(momentum, before) },
    };
  },
};

/**
 * Lion (Chen et al. 2023, arXiv:2302.06675, algorithm 2), with decoupled decay as lion-pytorch and bitsandbytes have
 * it: p ← p·(1 − lr·μ·λ) − lr·μ·sign(β₁m + (1−β₁)ĝ);  m ← β₂m + (1−β₂)ĝ. Every element moves by the whole rate, so
 * rates are 3 to 10 times smaller than AdamW's.
 */
export const lion: Optimizer = {
  help: 'the sign of one moment; rates 3 to 10 times smaller',
  rules: [lionRule],
  ruleOf: () => lionRule,
  defaults,
};
