import type { TrainedParameter } from '@lowrank/nn';
import { Parameter } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { compile, readTensor, Rng, tensor } from '@lowrank/tensor';
import { ReferenceBackend } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import type { OptimizerName } from './optimizers/index.js';
import { setStepScalars, stepScalars, updateParameters } from './optimizer.js';
import { flattenParameters } from './parameters.js';

const rng = new Rng(2);
const values = Float32Array.from({ length: 9000 }, () => rng.normal());
const gradient = Float32Array.from({ length: 9000 }, (_, i) => Math.sin(i));

async function twoSteps(
  maxBindingBytes: number,
  loss = 1,
  { badElement, optimizer = 'adamw' }: { badElement?: number | undefined; optimizer?: OptimizerName } = {},
): Promise<{ norm: number; weights: Float32Array; steps: number }> {
  const backend = new ReferenceBackend({ maxBindingBytes });
  const trained: TrainedParameter = {
    name: 'w',
    parameter: new Parameter(tensor(values.slice(), [9000])),
    weightDecay: 0.1,
  };
  const vectors = await flattenParameters([trained], backend.spec, { optimizer });
  const scalars = stepScalars();
  const [health, lossValue] = [tensor([1], []), tensor([loss], [])];
  const own = new Float32Array(vectors[0]?.size ?? 0);
  own.set(gradient);
  if (badElement !== undefined) own[badElement] = NaN;
  const g: Tensor = tensor(own);
  const options = { clip: 0.5 };
  const update = compile(backend, () => ({
    squared: updateParameters({ vectors, gradients: [g], loss: lossValue, health, scalars, options }),
  }));
  let norm = NaN;
  for (const step of [1, 2]) {
    setStepScalars(scalars, step, { learningRate: 0.01 });
    norm = Math.sqrt((await (await update.run()).squared)[0] ?? NaN);
  }
  return {
    norm,
    weights: (await readTensor(trained.parameter.tensor)) as Float32Array,
    steps: update.plan({}).steps.filter(({ op }) => op === 'adamw').length,
  };
}

test('the numbers of a step are made in double precision', () => {
  const scalars = stepScalars();
  setStepScalars(scalars, 1, { learningRate: 0.004 });
  expect(scalars.stepSize.value).toBeCloseTo(0.04, 15);
  expect(scalars.biasScale.value).toBeCloseTo(1 / Math.sqrt(0.001), 10);
  setStepScalars(scalars, 3, { learningRate: 0.004, beta1: 0.5, beta2: 0.5 });
  expect([scalars.learningRate.value, scalars.stepSize.value, scalars.biasScale.value]).toEqual([
    0.004,
    0.004 / 0.875,
    1 / Math.sqrt(0.875),
  ]);
});

test('a vector larger than a binding is updated in pieces, with one norm', async () => {
  const whole = await twoSteps(2 ** 27);
  const pieces = await twoSteps(4 * 4096);
  expect([whole.steps, pieces.steps]).toEqual([1, 3]);
  expect(whole.norm).toBeCloseTo(Math.hypot(...gradient), 3);
  expect(pieces.norm).toBeCloseTo(whole.norm, 4);
  whole.weights.forEach((value, i) => expect(pieces.weights[i]).toBeCloseTo(value, 6));
  expect(whole.weights).not.toEqual(values);
});

const bad = [
  { what: 'a loss that is NaN', loss: NaN },
  { what: 'an infinite loss', loss: Infinity },
  { what: 'one element of a gradient that is NaN', loss: 1, badElement: 8999 },
];
const each = (['adamw', 'lion', 'sgd'] as const).flatMap((optimizer) => bad.map((one) => ({ ...one, optimizer })));

test.each(each)('$what leaves all weights as they are with $optimizer', async ({ loss, ...options }) => {
  const { weights } = await twoSteps(4 * 4096, loss, options);
  expect(weights).toEqual(values);
});
