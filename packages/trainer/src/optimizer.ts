import type { Tensor } from '@lowrank/tensor';
import { add, assign, mul, scalar, square } from '@lowrank/tensor';
import { clipScale, scope, squaredNorm } from '@lowrank/tensor/op';
import { adamwNumbers } from './optimizers/adamw.js';
import type { OptimizerName } from './optimizers/index.js';
import type { OptimizerNumbers, StepScalars } from './optimizers/optimizer.js';
import type { FlatVector } from './parameters.js';

export interface OptimizerOptions extends OptimizerNumbers {
  /** Largest norm of the whole gradient; larger ones are scaled down to it. 0 turns clipping off. */
  readonly clip?: number | undefined;
  /** Default 'adamw': moments in f32. */
  readonly optimizer?: OptimizerName | undefined;
}

/** Those of a record of options that are the optimizer's. */
export function optimizerOptions(options: OptimizerOptions): OptimizerOptions {
  const { optimizer, clip, beta1, beta2, epsilon, momentum, nesterov } = options;
  return { optimizer, clip, beta1, beta2, epsilon, momentum, nesterov };
}

export function stepScalars(): StepScalars {
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
export function setStepScalars(
  scalars: StepScalars,
  step: number,
  { learningRate, ...options }: OptimizerOptions & { readonly learningRate: number },
): void {
  const { beta1, beta2 } = adamwNumbers(options);
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
  readonly scalars: StepScalars;
  readonly options: OptimizerOptions;
}

/**
 * Traces clipping and the optimizer over all vectors, as assignments; returns ‖g‖² before clipping.
 *
 * The factor on the gradient is min(1, clip/(‖g‖ + 1e-6)), torch.nn.utils.clip_grad_norm_'s. It is NaN, and no rule
 * writes anything then, where the loss or the gradient of this step or of an earlier one is not finite: the weights
 * stay what they were before that step although the host, which reads the loss a step or two later, has asked for more
 * steps meanwhile.
 */
export function updateParameters({ vectors, gradients, loss, health, scalars, options }: UpdateRequest): Tensor {
  return scope('optimizer', () => {
    const squared = gradients.map((gradient) => squaredNorm(gradient)).reduce((total, part) => add(total, part));
    // clipScale without a maximum is 1 for a finite number and NaN for any other, tested on the bits where arithmetic
    // may not be trusted with NaN.
    const healthy = mul(health, mul(clipScale(squared, 0), clipScale(square(loss), 0)));
    assign(health, healthy);
    const clip = mul(healthy, clipScale(squared, options.clip ?? 0));
    for (const [at, vector] of vectors.entries()) {
      const gradient = gradients[at];
      if (gradient === undefined) throw new TypeError('a flat vector without its gradient');
      const updated = vector.rule.update({ ...vector, gradient, scalars, clip, numbers: options });
      assign(vector.parameters, updated.parameters);
      for (const [name, { tensor }] of Object.entries(vector.state)) assign(tensor, updated.state[name] ?? tensor);
    }
    return squared;
  });
}
