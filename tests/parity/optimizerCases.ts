import { readFileSync } from 'node:fs';
import type { TrainedParameter } from '@lowrank/nn';
import { Parameter } from '@lowrank/nn';
import type { Backend, Tensor } from '@lowrank/tensor';
import { add, mul, readTensor, sum, tensor } from '@lowrank/tensor';
import type { Batch, OptimizerName, OptimizerNumbers } from '@lowrank/trainer';
import { createTrainStep } from '@lowrank/trainer';
import { expect, test } from 'vitest';

type Numbers = Readonly<Record<string, readonly number[]>>;

interface Golden {
  readonly shapes: Numbers;
  readonly decay: number;
  readonly rates: readonly number[];
  readonly factors: Readonly<Record<string, number>>;
  readonly start: Numbers;
  readonly gradients: readonly Numbers[];
  readonly cases: readonly {
    readonly name: string;
    readonly optimizer: OptimizerName;
    readonly options: OptimizerNumbers;
    readonly end: Numbers;
  }[];
}

const golden = JSON.parse(
  readFileSync(new URL('../../parity/golden/optimizers.json', import.meta.url), 'utf8'),
) as Golden;

function trainedParameters(): TrainedParameter[] {
  return Object.entries(golden.start).map(([name, values]) => ({
    name,
    parameter: new Parameter(tensor(Float32Array.from(values), golden.shapes[name] ?? [])),
    learningRateFactor: golden.factors[name] ?? 1,
  }));
}

/** A loss whose gradient is what the batch says: Σ p·g. */
function batchOf(gradients: Numbers): Batch<string> {
  const inputs = Object.entries(gradients).map(([name, values]) => [
    name,
    { data: Float32Array.from(values), shape: golden.shapes[name] ?? [] },
  ]);
  return { inputs: Object.fromEntries(inputs) as Batch<string>['inputs'] };
}

/** Each optimizer's steps against torch's, with decay of matrices alone and a group with its own rate. */
export function describeOptimizers(makeBackend: () => Promise<Backend>): void {
  test.each(golden.cases)('$name ends where PyTorch does', async ({ optimizer, options, end }) => {
    const backend = await makeBackend();
    const parameters = trainedParameters();
    const loss = (inputs: Readonly<Record<string, Tensor>>): Tensor =>
      parameters
        .map(({ name, parameter }) => sum(mul(parameter.tensor, inputs[name] ?? NaN)))
        .reduce((total, part) => add(total, part));
    const step = await createTrainStep<string>({
      backend,
      loss,
      parameters,
      optimizer,
      weightDecay: golden.decay,
      ...options,
    });
    for (const [at, gradients] of golden.gradients.entries())
      await (
        await step.run([batchOf(gradients)], golden.rates[at] ?? NaN)
      ).loss;
    for (const { name, parameter } of parameters) {
      const [values, wanted] = [await readTensor(parameter.tensor), end[name] ?? []];
      expect(values.length).toBe(wanted.length);
      wanted.forEach((value, i) => expect(Math.abs((values[i] ?? NaN) - value)).toBeLessThan(2e-6));
    }
    await step.dispose({ weights: true });
    expect(backend.memory.buffers).toBe(0);
    backend.dispose();
  });
}
