import type { Scalar, Tensor } from '@lowrank/tensor';
import { add, assign, mul, scalar, square } from '@lowrank/tensor';
import { adamw, adamw8bit, clipScale, scope, squaredNorm } from '@lowrank/tensor/op';
import type { OptimizerName } from './moments.js';
import type { FlatVector } from './parameters.js';

export interface AdamwOptions {
  readonly beta1?: number;
  readonly beta2?: number;
  readonly epsilon?: number;
  /** Largest norm of the whole gradient; larger ones are scaled down to it. 0 turns clipping off. */
  readonly clip?: number;
  /** Default 'adamw': moments in f32. */
  readonly optimizer?: OptimizerName;
}

/** The numbers of one AdamW step, which change from step to step without a new plan. */
export interface OptimizerScalars {
  readonly learningRate: Scalar;
  readonly stepSize: Scalar;
  readonly biasScale: Scalar;
}

export function optimizerScalars(): OptimizerScalars {
  return {
    learningRate: scalar(0, { name: 'learningRate' }),
    stepSize: scalar(0, { name: 'stepSize' }),
    biasScale: scalar(1, { name: 'biasScale' }),
  };
}

/**
 * Sets the numbers of step t = 1, 2, …: stepSize = lr/(1 − β₁ᵗ), biasScale = 1/√(1 − β₂ᵗ), computed in double
 * precision.
 */
export function setOptimizerScalars(
  scalars: OptimizerScalars,
  step: number,
  { learningRate, beta1 = 0.9, beta2 = 0.999 }: AdamwOptions & { learningRate: number },
): void {
  scalars.learningRate.value = learningRate;
  scalars.stepSize.value = learningRate / (1 - beta1 ** step);
  scalars.biasScale.value = 1 / Math.sqrt(1 - beta2 ** step);
}

export interface UpdateRequest {
  readonly vectors: readonly FlatVector[];
  /** One flat gradient per vector. */
  readonly gradients: readonly Tensor[];
  readonly loss: Tensor;
  /** 0-d state: 1 until a loss or a gradient was not finite, NaN from then on. */
  readonly health: Tensor;
  readonly scalars: OptimizerScalars;
  readonly options: AdamwOptions;
}

/**
 * Traces clipping and AdamW over all vectors, as assignments; returns ‖g‖² before clipping.
 *
 * The factor on the gradient is min(1, clip/(‖g‖ + 1e-6)), torch.nn.utils.clip_grad_norm_'s. It is NaN, and AdamW then
 * writes nothing, where the loss or the gradient of this step or of an earlier one is not finite: the weights stay what
 * they were before that step although the host, which reads the loss a step or two later, has asked for more steps
 * meanwhile.
 */
export function updateParameters({ vectors, gradients, loss, health, scalars, options }: UpdateRequest): Tensor {
  return scope('optimizer', () => {
    const squared = gradients.map((gradient) => squaredNorm(gradient)).reduce((total, part) => add(total, part));
    // clipScale without a maximum is 1 for a finite number and NaN for any other, tested on the bits where arithmetic
    // may not be trusted with NaN.
    const healthy = mul(health, mul(clipScale(squared, 0), clipScale(square(loss), 0)));
    assign(health, healthy);
    const clip = mul(healthy, clipScale(squared, options.clip ?? 0));
    const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 } = options;
    for (const [at, { parameters, moments, table }] of vectors.entries()) {
      const gradient = gradients[at];
      if (gradient === undefined) throw new TypeError('a flat vector without its gradient');
      const [state, updated] =
        moments.bits === 32
          ? [
              [parameters, moments.first, moments.second],
              adamw(
                { parameters, gradient, firstMoment: moments.first, secondMoment: moments.second, table },
                { ...scalars, clip },
                { beta1, beta2, epsilon },
              ),
            ]
          : [
              [parameters, moments.firstCodes, moments.secondCodes, moments.scales],
              adamw8bit({ parameters, gradient, ...moments, table }, { ...scalars, clip }, { beta1, beta2, epsilon }),
            ];
      state.forEach((target, index) => assign(target, updated[index] ?? target));
    }
    return squared;
  });
}
