import { expect, test } from 'vitest';
import { makeRows, pack, referenceBackend, tinyModel } from '../testing.js';
import { holdState } from '../trainState.js';
import type { TrainStep } from '../trainStep.js';
import { createTrainStep } from '../trainStep.js';
import type { OptimizerName } from './index.js';
import { checkOptimizer, optimizers } from './index.js';

const batches = [0, 2, 4, 6].map((start) => [pack(makeRows(8).slice(start, start + 2))]);

async function steps(trainStep: TrainStep, from: number, to: number): Promise<void> {
  for (const batch of batches.slice(from, to)) await (await trainStep.run(batch, 0.02)).loss;
}

test.each(optimizers)('%s goes on from its state as if it had never stopped', async (optimizer) => {
  const options = { optimizer, weightDecay: 0.1 };
  const undisturbedModel = tinyModel(referenceBackend());
  const undisturbed = await createTrainStep({ ...undisturbedModel, ...options });
  await steps(undisturbed, 0, 2);
  const state = await holdState(undisturbed.state());
  await steps(undisturbed, 2, 4);
  const end = await undisturbedModel.weights();

  const goOn = async (maxBindingBytes: number): Promise<[number, ReadonlyMap<string, Float32Array>]> => {
    const model = tinyModel(referenceBackend({ maxBindingBytes }));
    const resumed = await createTrainStep({ ...model, ...options });
    await resumed.restore(state);
    await steps(resumed, 2, 4);
    return [resumed.vectors.length, await model.weights()];
  };
  const [, same] = await goOn(2 ** 27);
  for (const [name, values] of end) expect({ name, values: same.get(name) }).toEqual({ name, values });
  // On a device with other limits parameters share vectors otherwise, and sums are rounded otherwise.
  const [vectors, other] = await goOn(2048);
  expect(vectors).toBeGreaterThan(undisturbed.vectors.length);
  for (const [name, values] of end) values.forEach((value, at) => expect(other.get(name)?.[at]).toBeCloseTo(value, 5));
});

test('a state of another optimizer is refused', async () => {
  const makeStep = (optimizer: OptimizerName): Promise<TrainStep> =>
    createTrainStep({ ...tinyModel(referenceBackend()), optimizer });
  const state = (await makeStep('sgd')).state();
  await expect((await makeStep('adamw')).restore(state)).rejects.toThrow('firstMoment.embed');
});

test.each<[OptimizerName, Parameters<typeof checkOptimizer>[1], string]>([
  ['adamw', { momentum: 0.9 }, 'adamw takes beta1, beta2, epsilon; leave momentum out'],
  ['sgd', { beta1: 0.9 }, "beta1 with optimizer 'sgd': expected one of the two, got both"],
  ['lion', { beta2: 1 }, 'beta2: expected a number of at least 0 and below 1, got 1'],
  ['muon', { epsilon: 0 }, 'epsilon: expected a number above 0, got 0'],
  ['adam' as OptimizerName, {}, 'optimizer: expected adamw, adamw8bit, lion, sgd, muon, got adam'],
])('%s with %j is refused', (optimizer, numbers, message) => {
  expect(() => checkOptimizer(optimizer, numbers)).toThrow(message);
});
