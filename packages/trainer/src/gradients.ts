import type { TokenBatch } from '@lowrank/data';
import type { Backend } from '@lowrank/tensor';
import { grad, mul, toFloat32 } from '@lowrank/tensor';
import type { LossFunction } from './batch.js';
import { asBatch, batchInputs } from './batch.js';
import type { Execution } from './execution.js';
import { makeRunnable } from './execution.js';
import type { TrainedParameter } from './parameters.js';

export interface GradientsRequest {
  readonly backend: Backend;
  readonly loss: LossFunction;
  readonly parameters: readonly TrainedParameter[];
  readonly batch: TokenBatch;
  readonly execution?: Execution;
}

/**
 * dL/d(parameter) by name, with L the loss per label token of one batch at the weights as they are. For checks and for
 * looking into a model.
 */
export async function parameterGradients({
  backend,
  loss,
  parameters,
  batch,
  execution,
}: GradientsRequest): Promise<Map<string, Float32Array>> {
  const runnable = makeRunnable(
    backend,
    (inputs) => {
      const total = mul(loss(asBatch(inputs)), 1 / batch.labelTokens);
      const gradients = grad(
        total,
        parameters.map(({ parameter }) => parameter.tensor),
      );
      return Object.fromEntries(gradients.map((gradient, at) => [String(at), gradient]));
    },
    { execution },
  );
  try {
    const outputs = await runnable.run(batchInputs(batch));
    const result = new Map<string, Float32Array>();
    for (const [at, { name }] of parameters.entries()) {
      const values = await outputs[String(at)];
      if (values !== undefined) result.set(name, toFloat32(values, 'f32'));
    }
    return result;
  } finally {
    await runnable.dispose();
  }
}
