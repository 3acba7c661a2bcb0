import { add, mul, sub } from '@lowrank/tensor';
import { segmentBlock } from '@lowrank/tensor/op';
import { blocksOf } from './blocks.js';
import type { Optimizer, UpdateRule } from './optimizer.js';
import { stateLike, stateNamed } from './optimizer.js';

const defaults = { momentum: 0.9, nesterov: false } as const;

/** The momentum in f32: 4 bytes for each parameter. */
const sgdRule: UpdateRule = {
  alignment: segmentBlock,
  makeState: (shape) => ({ momentum: stateLike(shape, 'momentum') }),
  update(vector) {
    const { momentum = defaults.momentum, nesterov = defaults.nesterov } = vector.numbers;
    const { factor, decay, rows, written } = blocksOf(vector);
    const before = stateNamed(vector.state, 'momentum');
    const p = rows(vector.parameters);
    const g = add(mul(rows(vector.gradient), vector.clip), mul(p, decay));
    const next = add(mul(rows(before), momentum), g);
    const direction = nesterov ? add(g, mul(next, momentum)) : next;
    const moved = sub(p, mul(mul(vector.scalars.learningRate, factor), direction));
    return {
      parameters: written(moved, vector.parameters),
      state: { momentum: written(next, before) },
    };
  },
};

/**
 * Stochastic gradient descent with momentum, as torch.optim.SGD without dampening: ĝ ← ĝ + λp (the decay is part of the
 * gradient here, not decoupled);  m ← momentum·m + ĝ;  p ← p − lr·μ·m, or with nesterov p ← p − lr·μ·(ĝ + momentum·m).
 */
export const sgd: Optimizer = {
  help: 'gradients with momentum; rates far larger',
  rules: [sgdRule],
  ruleOf: () => sgdRule,
  defaults,
};
