import { aNumber, anInteger, aShape, kind, signature } from '../arguments.js';
import { aScalar, aTensor } from '../tensorKinds.js';
import { apply, defineOp } from '../op.js';
import type { Scalar, Tensor } from '../graph.js';
import { threefryUniform } from '../numeric/rng.js';
import type { Shape } from '../shape.js';
import { shapeError, sizeOf } from '../shape.js';
import { less, mul, where } from './elementwise.js';

export interface RandomAttrs {
  readonly shape: Shape;
  /** Tells one use of randomness in a program from another. */
  readonly stream: number;
}

/**
 * Uniform numbers in [0, 1), 24 bits each: element i is the first word of Threefry-2x32-20 with key (seed, stream) and
 * counter (step, i) (Salmon et al. 2011), shifted right by 8 and divided by 2²⁴. A function of its counters alone, so
 * that recomputation and resume are exact and every backend makes the same numbers. Inputs: seed and step, 0-d u32.
 */
export const randomOp = defineOp<'random', RandomAttrs>({
  name: 'random',
  infer(inputs, { shape }) {
    if (inputs.length !== 2 || inputs.some(({ dtype, shape: own }) => dtype !== 'u32' || sizeOf(own) !== 1))
      throw shapeError('random', 'seed and step as 0-d u32', JSON.stringify(inputs));
    return [{ shape, dtype: 'f32' }];
  },
  reference({ inputs: [seed, step], outputs: [y], attrs: { stream } }) {
    y.forEach((_, i) => (y[i] = threefryUniform([seed[0], stream], [step[0], i])));
  },
});

/** What a random number is a function of, beside layer and element (Threefry-2x32-20). */
export interface RandomState {
  /** u32 */
  seed: Scalar;
  /** u32; the RNG step: change it between runs for new numbers. */
  step: Scalar;
}

const aRandomState = kind('{ seed, step }, two u32 Scalars', (value) => {
  const { seed, step } = (value ?? {}) as Partial<RandomState>;
  return aScalar.accepts(seed) && aScalar.accepts(step);
});
const checkRandomUniform = signature('randomUniform', { shape: aShape, state: aRandomState, stream: anInteger });
const checkDropout = signature('dropout', { x: aTensor, rate: aNumber, state: aRandomState, stream: anInteger });

/** Uniform numbers in [0, 1), a function of seed, step, stream and place alone. */
export function randomUniform(shape: Shape, state: RandomState, stream: number): Tensor {
  checkRandomUniform(shape, state, stream);
  return apply(randomOp, [state.seed.tensor, state.step.tensor], { shape, stream });
}

/**
 * Inverted dropout (Srivastava et al. 2014): each element is zeroed with probability `rate`, the others are divided by
 * 1 − rate.
 */
export function dropout(x: Tensor, rate: number, state: RandomState, stream: number): Tensor {
  checkDropout(x, rate, state, stream);
  if (!(rate >= 0 && rate < 1)) throw shapeError('dropout', 'a rate of at least 0 and below 1', `${rate}`);
  if (rate === 0) return x;
  return where(less(randomUniform(x.shape, state, stream), 1 - rate), mul(x, 1 / (1 - rate)), 0);
}
