import type { TrainedParameter } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { add, mul, reshape, sub, where } from '@lowrank/tensor';
import { isFinite, packAt, segmentBlock, viewAt } from '@lowrank/tensor/op';
import { adamwDefaults, adamwRule } from './adamw.js';
import { newtonSchulz } from './newtonSchulz.js';
import type { Optimizer, UpdateRule, VectorUpdate } from './optimizer.js';
import { stateLike, stateNamed } from './optimizer.js';

const defaults = { ...adamwDefaults, momentum: 0.95, nesterov: true } as const;

/** The momentum in f32: 4 bytes for each parameter. */
const muonRule: UpdateRule = {
  alignment: segmentBlock,
  makeState: (shape) => ({ momentum: stateLike(shape, 'momentum') }),
  update(vector) {
    const { parameters, gradient, clip, numbers } = vector;
    const { momentum = defaults.momentum, nesterov = defaults.nesterov } = numbers;
    const before = stateNamed(vector.state, 'momentum');
    const g = mul(gradient, clip);
    const next = add(mul(before, momentum), mul(g, 1 - momentum));
    const direction = nesterov ? add(mul(g, 1 - momentum), mul(next, momentum)) : next;
    const finite = isFinite(clip);
    return {
      parameters: where(finite, movedMatrices(vector, direction), parameters),
      state: { momentum: where(finite, next, before) },
    };
  },
};

/** Each matrix of a vector by its own orthogonal step. */
function movedMatrices({ parameters, segments, scalars }: VectorUpdate, direction: Tensor): Tensor {
  const isOne = segments.length === 1;
  const moved = segments.map(({ shape, offset, learningRateFactor, weightDecay }) => {
    const part = (x: Tensor): Tensor => (x.shape.length === 2 ? x : viewAt(x, offset, shape));
    const [rows = 1, columns = 1] = shape;
    const rate = mul(scalars.learningRate, learningRateFactor);
    const scale = mul(rate, 0.2 * Math.sqrt(Math.max(rows, columns)));
    const step = mul(newtonSchulz(part(direction)), scale);
    return sub(mul(part(parameters), sub(1, mul(rate, weightDecay))), step);
  });
  const [only] = moved;
  if (isOne && only !== undefined && only.size === parameters.size) return reshape(only, parameters.shape);
  return packAt(
    moved,
    segments.map(({ offset }) => offset),
    parameters.size,
  );
}

/** Tables of tokens and positions and the projection onto them are matrices, but rows of them are what is learned. */
function isHidden({ name, parameter: { tensor } }: TrainedParameter): boolean {
  const isTable = /(?:^|\.)(?:\w*embed\w*|wte|wpe|lm_head|score)(?:\.|$)/i.test(name);
  return tensor.shape.length === 2 && Math.min(...tensor.shape) > 1 && !isTable;
}

/**
 * Muon (Jordan et al. 2024; Liu et al. 2025, arXiv:2502.16982): the momentum of each hidden matrix, made orthogonal.
 * With m ← β·m + (1−β)ĝ and, with nesterov, d = (1−β)ĝ + β·m, else d = m:
 * p ← p·(1 − lr·μ·λ) − lr·μ·0.2·√max(rows, columns)·newtonSchulz(d).
 * As torch.optim.Muon with `adjust_lr_fn="match_rms_adamw"`, so that rate and decay are AdamW's; embeddings, the output
 * projection, norms and biases go by AdamW.
 */
export const muon: Optimizer = {
  help: 'orthogonal steps of matrices, AdamW for all else: for every weight',
  rules: [adamwRule, muonRule],
  ruleOf: (trained) => (isHidden(trained) ? muonRule : adamwRule),
  defaults,
};
