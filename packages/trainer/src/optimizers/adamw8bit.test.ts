import type { TrainedParameter } from '@lowrank/nn';
import { Parameter } from '@lowrank/nn';
import type { Backend, Tensor } from '@lowrank/tensor';
import { embedding, linear, linearCrossEntropy, mul, readTensor, reshape, Rng, tensor } from '@lowrank/tensor';
import { ReferenceBackend, sourceOf } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import type { LossFunction } from '../batch.js';
import type { OptimizerName } from './index.js';
import { flattenParameters } from '../parameters.js';
import { pack } from '../testing.js';
import type { Row } from '../testing.js';
import { createTrainStep } from '../trainStep.js';

const parameter = (name: string, shape: readonly number[], seed: number): TrainedParameter => {
  const rng = new Rng(seed);
  return {
    name,
    parameter: new Parameter(
      tensor(
        Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => rng.normal() * 0.3),
        shape,
        { name },
      ),
    ),
  };
};

/** Next token from the last one, through one layer and a tied table. */
function model(vocabulary: number, width: number): { parameters: TrainedParameter[]; loss: LossFunction } {
  const [table, layer] = [parameter('table', [vocabulary, width], 1), parameter('layer', [width, width], 2)];
  const loss: LossFunction = ({ ids, labels }) => {
    const x = linear(reshape(embedding(table.parameter.tensor, ids), [ids.size, width]), layer.parameter.tensor);
    return linearCrossEntropy(mul(x, 2), table.parameter.tensor, reshape(labels, [ids.size]));
  };
  return { parameters: [table, layer], loss };
}

const row = (ids: number[]): Row => ({ ids: Int32Array.from(ids), labels: Int32Array.from(ids) });

async function trained(
  backend: Backend,
  {
    optimizer,
    sizes,
    microBatches,
    steps,
  }: {
    optimizer: OptimizerName;
    sizes: readonly [number, number];
    microBatches: Parameters<Awaited<ReturnType<typeof createTrainStep>>['run']>[0];
    steps: number;
  },
): Promise<{ losses: number[]; weights: Float32Array; moved: number }> {
  const { parameters, loss } = model(...sizes);
  const [table] = parameters;
  const before = ((await readTensor(table?.parameter.tensor as Tensor)) as Float32Array).slice();
  const step = await createTrainStep({ backend, loss, parameters, optimizer, clip: 1, weightDecay: 0.01 });
  const losses: number[] = [];
  for (let at = 0; at < steps; at++) losses.push(await (await step.run(microBatches, 1e-2)).loss);
  const weights = ((await readTensor(table?.parameter.tensor as Tensor)) as Float32Array).slice();
  await step.dispose({ weights: true });
  expect(backend.memory.buffers).toBe(0);
  return { losses, weights, moved: mean(weights, before) };
}

function mean(a: Float32Array, b: Float32Array): number {
  return a.reduce((total, value, i) => total + Math.abs(value - (b[i] ?? NaN)), 0) / a.length;
}

test('large parameters get codes, 2 bytes an element and two scales for each 256; small ones stay in f32', async () => {
  const vectors = await flattenParameters(
    [parameter('small', [63, 65], 1), parameter('first', [4096], 2), parameter('second', [67, 71], 3)],
    { maxBindingBytes: 2 ** 27 },
    { optimizer: 'adamw8bit' },
  );
  expect(
    vectors.map(({ rule, segments }) => [rule.alignment, ...segments.map(({ name, offset }) => `${name} ${offset}`)]),
  ).toEqual([
    [64, 'small 0'],
    [256, 'first 0', 'second 4096'],
  ]);
  const [, eight] = vectors;
  const size = 4096 + 19 * 256;
  expect(eight?.size).toBe(size);
  const bytes =
    eight === undefined
      ? []
      : [...Object.values(eight.state).map(({ tensor: value }) => value), ...Object.values(eight.constants)].map(
          (value) => sourceOf(value).bytes,
        );
  expect(bytes).toEqual([size, size, (8 * size) / 256, 2048]);
});

test('training with moments in 8 bits stays close to training with f32 ones', async () => {
  const microBatches = [pack([row([5, 17, 400, 3, 599, 17]), row([0, 5, 17, 44, 3])])];
  const options = { sizes: [600, 8], microBatches, steps: 12 } as const;
  const full = await trained(new ReferenceBackend(), { ...options, optimizer: 'adamw' });
  const eight = await trained(new ReferenceBackend(), { ...options, optimizer: 'adamw8bit' });
  expect(full.losses.at(-1)).toBeLessThan((full.losses[0] ?? 0) - 0.5);
  expect(eight.losses).not.toEqual(full.losses);
  full.losses.forEach((loss, at) => expect(Math.abs((eight.losses[at] ?? NaN) / loss - 1)).toBeLessThan(0.02));
  expect(mean(eight.weights, full.weights)).toBeLessThan(0.15 * full.moved);
});

test.each(['adamw', 'adamw8bit', 'lion', 'sgd', 'muon'] as const)(
  '%s trains a table beyond one binding as it does a whole one, over one micro-batch and over several',
  async (optimizer) => {
    const limits = { maxBindingBytes: 98304, maxBufferBytes: 2 ** 20 };
    const batches = [pack([row([5, 17, 400, 3])]), pack([row([0, 1023, 1024, 899])])];
    for (const microBatches of [batches.slice(0, 1), batches]) {
      const options = { sizes: [1100, 24], microBatches, steps: 2, optimizer } as const;
      const whole = await trained(new ReferenceBackend(), options);
      const cut = await trained(new ReferenceBackend(limits), options);
      whole.losses.forEach((loss, at) => expect(cut.losses[at]).toBeCloseTo(loss, 5));
      // Sums in another order may push a moment over the middle between two codes, here and there.
      expect(mean(cut.weights, whole.weights)).toBeLessThan(1e-6);
      whole.weights.forEach((value, at) =>
        expect(Math.abs((cut.weights[at] ?? NaN) - value)).toBeLessThan(optimizer === 'adamw8bit' ? 1e-3 : 1e-6),
      );
    }
  },
);
