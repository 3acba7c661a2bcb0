import type { Backend } from '@lowrank/tensor';
import { mul, toFloat32 } from '@lowrank/tensor';
import type { TrainedParameter } from '@lowrank/nn';
import type { Batch, LossFunction, TokenInput } from './batch.js';
import { lossOver } from './batch.js';
import type { Execution } from './execution.js';
import { makeRunnable } from './execution.js';
import { gradientScaleFor, scaledGrad } from './gradientScale.js';

/** Options of `gradients`: one batch, and the parameters whose gradients are wanted. */
export interface GradientsRequest<Name extends string = TokenInput> {
  readonly backend: Backend;
  readonly loss: LossFunction<Name>;
  readonly parameters: readonly TrainedParameter[];
  readonly batch: Batch<Name>;
  readonly execution?: Execution;
}

/**
 * dL/d(parameter) by name, with L the loss of one batch divided by its weight (for text: per label token), at the
 * weights as they are. For checks and for looking into a model.
 */
export async function parameterGradients<Name extends string = TokenInput>({
  backend,
  loss,
  parameters,
  batch,
  execution,
}: GradientsRequest<Name>): Promise<Map<string, Float32Array>> {
  const runnable = makeRunnable(
    backend,
    (inputs) => {
      const total = mul(lossOver(loss)(inputs).loss, 1 / (batch.weight ?? 1));
      const up = gradientScaleFor(batch.weight ?? 1);
      const gradients = scaledGrad(
        total,
        parameters.map(({ parameter }) => parameter.tensor),
        backend.spec.precision === 'mixed' ? { up, down: 1 / up } : undefined,
      );
      return Object.fromEntries(gradients.map((gradient, at) => [String(at), gradient]));
    },
    { execution },
  );
  try {
    const outputs = await runnable.run(batch.inputs);
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
