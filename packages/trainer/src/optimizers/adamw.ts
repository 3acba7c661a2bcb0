import { adamw as adamwStep, segmentBlock } from '@lowrank/tensor/op';
import type { Optimizer, OptimizerNumbers, UpdateRule } from './optimizer.js';
import { stateLike, stateNamed } from './optimizer.js';

interface AdamwNumbers {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
}

/** AdamW's numbers, with torch.optim.AdamW's where a run says nothing. */
export function adamwNumbers({ beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 }: OptimizerNumbers): AdamwNumbers {
  return { beta1, beta2, epsilon };
}

export const adamwDefaults = adamwNumbers({});

/** Both moments in f32: 8 bytes for each parameter. */
export const adamwRule: UpdateRule = {
  alignment: segmentBlock,
  makeState: (shape) => ({
    firstMoment: stateLike(shape, 'firstMoment'),
    secondMoment: stateLike(shape, 'secondMoment'),
  }),
  update({ parameters, gradient, state, table, scalars, clip, numbers }) {
    const [moved, firstMoment, secondMoment] = adamwStep(
      {
        parameters,
        gradient,
        firstMoment: stateNamed(state, 'firstMoment'),
        secondMoment: stateNamed(state, 'secondMoment'),
        table,
      },
      { ...scalars, clip },
      adamwNumbers(numbers),
    );
    if (moved === undefined || firstMoment === undefined || secondMoment === undefined)
      throw new TypeError('adamw has three outputs');
    return { parameters: moved, state: { firstMoment, secondMoment } };
  },
};

/** AdamW (Loshchilov & Hutter 2019), as torch.optim.AdamW. */
export const adamw: Optimizer = {
  help: 'moments in 32 bits',
  rules: [adamwRule],
  ruleOf: () => adamwRule,
  defaults: adamwDefaults,
};
