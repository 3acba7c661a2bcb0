import type { BackendSpec } from '@lowrank/tensor/backend';
import { mul, scalar } from '@lowrank/tensor';
import { expect, test } from 'vitest';
import type { Batch, LossFunction } from './batch.js';
import { lossOver } from './batch.js';
import { evaluate } from './evaluate.js';
import { parameterGradients } from './gradients.js';
import { makeRows, pack, padRows, parameterNames, referenceBackend, tinyModel } from './testing.js';
import type { TrainStepOptions } from './trainStep.js';
import { createTrainStep } from './trainStep.js';

const rows = makeRows(12);
const learningRate = 0.03;

interface Trajectory {
  losses: number[];
  gradNorms: number[];
  weights: Map<string, Float32Array>;
}

interface RunOptions extends Partial<TrainStepOptions> {
  spec?: Partial<BackendSpec>;
  names?: readonly string[];
  dropout?: boolean;
}

/** Trains a fresh tiny model over the steps. */
async function trajectory(
  steps: readonly (readonly Batch[])[],
  { spec, names, dropout = false, ...options }: RunOptions = {},
): Promise<Trajectory> {
  const random = dropout ? { seed: scalar(5, { dtype: 'u32' }), step: scalar(0, { dtype: 'u32' }) } : undefined;
  const backend = referenceBackend(spec);
  const model = tinyModel(backend, { names, random });
  const step = await createTrainStep({ ...model, weightDecay: 0.1, clip: 0.3, ...options });
  const losses: number[] = [];
  const gradNorms: number[] = [];
  for (const part of steps) {
    const numbers = await step.run(part, learningRate);
    losses.push(await numbers.loss);
    gradNorms.push(await numbers.gradNorm);
  }
  await step.dispose();
  return { losses, gradNorms, weights: await model.weights() };
}

function expectSame(a: Trajectory, b: Trajectory, tolerance: number): void {
  const near = (x: readonly number[], y: readonly number[]): void => {
    expect(x.length).toBe(y.length);
    x.forEach((value, at) => expect(Math.abs(value - (y[at] ?? NaN))).toBeLessThanOrEqual(tolerance * Math.abs(value)));
  };
  near(a.losses, b.losses);
  near(a.gradNorms, b.gradNorms);
}

/** torch.optim.AdamW and clip_grad_norm_ as one would write them matrix by matrix, in double precision. */
class PlainAdamw {
  private step = 0;
  private readonly state = new Map<string, { m: Float64Array; v: Float64Array }>();

  update(
    weights: Map<string, Float64Array>,
    gradients: Map<string, Float32Array>,
    { clip, decay }: { clip: number; decay: number },
  ): number {
    this.step++;
    const norm = Math.sqrt(
      [...gradients.values()].reduce((total, g) => total + g.reduce((sum, x) => sum + x * x, 0), 0),
    );
    const scale = Math.min(1, clip / (norm + 1e-6));
    for (const [name, gradient] of gradients) {
      const weight = weights.get(name) ?? new Float64Array();
      const { m, v } = this.state.get(name) ?? {
        m: new Float64Array(gradient.length),
        v: new Float64Array(gradient.length),
      };
      this.state.set(name, { m, v });
      for (const [i, raw] of gradient.entries()) {
        const g = raw * scale;
        m[i] = 0.9 * (m[i] ?? 0) + 0.1 * g;
        v[i] = 0.999 * (v[i] ?? 0) + 0.001 * g * g;
        const mHat = (m[i] ?? 0) / (1 - 0.9 ** this.step);
        const vHat = (v[i] ?? 0) / (1 - 0.999 ** this.step);
        weight[i] = (weight[i] ?? 0) * (1 - learningRate * decay) - (learningRate * mHat) / (Math.sqrt(vHat) + 1e-8);
      }
    }
    return norm;
  }
}

test('steps are those of a plain AdamW loop over matrices, clipping and decay included', async () => {
  const batches = [rows.slice(0, 4), rows.slice(4, 8), rows.slice(8, 12)].map(pack);
  const flat = await trajectory(batches.map((batch) => [batch]));
  const model = tinyModel(referenceBackend());
  const plain = new PlainAdamw();
  const weights = new Map([...(await model.weights())].map(([name, values]) => [name, Float64Array.from(values)]));
  for (const [at, batch] of batches.entries()) {
    const norm = plain.update(weights, await parameterGradients({ ...model, batch }), { clip: 0.3, decay: 0.1 });
    expect(flat.gradNorms[at]).toBeCloseTo(norm, 5);
    expect(norm).toBeGreaterThan(0.3);
    for (const { name, parameter } of model.parameters) {
      const { node } = parameter.tensor;
      if (node.kind === 'source') node.write(Float32Array.from(weights.get(name) ?? []));
    }
  }
  for (const [name, values] of flat.weights)
    values.forEach((value, i) => expect(value).toBeCloseTo(weights.get(name)?.[i] ?? NaN, 4));
});

const steps = [0, 4, 8].map((start) => rows.slice(start, start + 4));

test('packed and padded rows go the same way', async () => {
  const packed = await trajectory(steps.map((part) => [pack(part)]));
  const padded = await trajectory(steps.map((part) => [padRows(part)]));
  expectSame(packed, padded, 2e-6);
});

test('accumulated micro-batches equal the large batch, whatever the lengths of the rows', async () => {
  const big = await trajectory(steps.map((part) => [pack(part)]));
  const parts = await trajectory(
    steps.map((part) => [pack(part.slice(0, 1)), padRows(part.slice(1, 3)), pack(part.slice(3))]),
  );
  expectSame(big, parts, 2e-6);
});

test.each(['unfused', 'unplanned'] as const)('%s and fused runs go the same way', async (execution) => {
  const mixed = steps.map((part, at) => (at === 1 ? [pack(part.slice(0, 2)), pack(part.slice(2))] : [pack(part)]));
  expectSame(await trajectory(mixed), await trajectory(mixed, { execution }), 2e-6);
});

test.each(['fused', 'unfused', 'unplanned'] as const)(
  'checkpointing changes no number: %s, accumulated, with dropout',
  async (execution) => {
    const mixed = steps.map((part, at) => (at === 1 ? [pack(part.slice(0, 2)), padRows(part.slice(2))] : [pack(part)]));
    const plain = await trajectory(mixed, { execution, dropout: true });
    const twice = await trajectory(mixed, { execution, dropout: true, checkpointing: true });
    if (execution === 'fused') expectSame(plain, twice, 1e-6);
    else expect(twice).toEqual(plain);
  },
);

test('several flat vectors go the way of one', async () => {
  const batches = steps.map((part) => [pack(part)]);
  const spec = { maxBindingBytes: 4096 };
  const step = await createTrainStep({ ...tinyModel(referenceBackend(spec)) });
  expect(step.vectors.length).toBe(2);
  expectSame(await trajectory(batches), await trajectory(batches, { spec }), 2e-6);
});

test('clipping leaves small gradients alone and scales large ones', async () => {
  const batches = steps.map((part) => [pack(part)]);
  const free = await trajectory(batches, { clip: 0 });
  expectSame(free, await trajectory(batches, { clip: 1e6 }), 1e-9);
  // With an epsilon far above the clipped gradient, AdamW's step shrinks with it.
  const [clipped, loose] = [
    await trajectory(batches, { clip: 1e-3, epsilon: 1, weightDecay: 0 }),
    await trajectory(batches, { clip: 0, epsilon: 1, weightDecay: 0 }),
  ];
  expect(clipped.gradNorms[0]).toBe(loose.gradNorms[0]);
  const start = await tinyModel(referenceBackend()).weights();
  const moved = ({ weights }: Trajectory): number =>
    Math.hypot(
      ...[...weights].flatMap(([name, values]) => [...values].map((value, i) => value - (start.get(name)?.[i] ?? NaN))),
    );
  expect(moved(clipped)).toBeLessThan(moved(loose) / 100);
  expect(moved(clipped)).toBeGreaterThan(0);
});

test('only what is listed is trained', async () => {
  const before = await tinyModel(referenceBackend()).weights();
  const { weights } = await trajectory(
    steps.map((part) => [pack(part)]),
    { names: ['q', 'v'] },
  );
  for (const name of parameterNames) {
    const same = weights.get(name)?.every((value, i) => value === before.get(name)?.[i]);
    expect([name, same]).toEqual([name, name !== 'q' && name !== 'v']);
  }
});

test('dropout differs in each micro-batch and is the same in each run', async () => {
  const same = Array.from({ length: 3 }, () => [pack(steps[0] ?? [])]);
  const first = await trajectory(same, { dropout: true });
  const second = await trajectory(same, { dropout: true });
  expect(first.losses).toEqual(second.losses);
  const frozen = await trajectory(same, { dropout: true, names: ['k'], weightDecay: 0 });
  expect(new Set(frozen.losses).size).toBe(3);
});

test('a value that is not finite freezes weights and all that follows, and its origin is found', async () => {
  const model = tinyModel(referenceBackend());
  const step = await createTrainStep({ ...model, clip: 1 });
  const [first, second, third] = steps.map((part) => [pack(part)]);
  if (first === undefined || second === undefined || third === undefined) throw new Error('three steps');
  await (
    await step.run(first, learningRate)
  ).loss;
  const healthy = await model.weights();
  // A learning rate that overflows the weights: the step itself is finite, the next one is not.
  await step.run(second, 1e30);
  const grown = await model.weights();
  const broken = await step.run(third, learningRate);
  const after = await step.run(first, learningRate);
  expect(Number.isFinite(await broken.loss) && Number.isFinite(await broken.gradNorm)).toBe(false);
  await after.loss;
  const frozen = await model.weights();
  expect(frozen).toEqual(grown);
  expect(frozen.get('q')).not.toEqual(healthy.get('q'));
  expect(await step.diagnose(third, broken.rngStep)).toMatch(/^(matmul|attention|elementwise)/);
});

test('weights that are broken from the start are named', async () => {
  const model = tinyModel(referenceBackend());
  const parameter = model.parameters.find(({ name }) => name === 'v')?.parameter.tensor;
  if (parameter?.node.kind !== 'source') throw new Error('a source');
  parameter.node.write(new Float32Array(256).fill(Infinity, 255));
  const step = await createTrainStep({ ...model, clip: 1 });
  const part = [pack(rows.slice(0, 3))];
  const numbers = await step.run(part, learningRate);
  expect(Number.isFinite(await numbers.loss)).toBe(false);
  expect(await step.diagnose(part, numbers.rngStep)).toBe('the parameter v itself');
});

test('a step allocates nothing once its shape is prepared, and disposing frees all but the weights', async () => {
  const backend = referenceBackend();
  const model = tinyModel(backend);
  const step = await createTrainStep({ ...model, clip: 1 });
  await step.prepare([pack(rows.slice(0, 8))]);
  for (const part of steps) await (await step.run([pack(part)], learningRate)).loss;
  const { buffers } = backend.memory;
  for (const part of steps) await (await step.run([pack(part)], learningRate)).loss;
  expect(backend.memory.buffers).toBe(buffers);
  await step.dispose();
  expect(backend.memory.bytes).toBe(step.vectors.reduce((total, { size }) => total + size * 4, 0));
  await step.dispose({ weights: true });
  expect(backend.memory.buffers).toBe(0);
});

/** A loss with twice itself beside it. */
function measured(loss: LossFunction): LossFunction {
  return (inputs) => {
    const { loss: total } = lossOver(loss)(inputs);
    return { loss: total, measures: { twice: mul(total, 2) } };
  };
}

test('measures are means over the whole step, like the loss', async () => {
  const backend = referenceBackend();
  const model = tinyModel(backend);
  const loss = measured(model.loss);
  const step = await createTrainStep({ ...model, loss });
  for (const batches of [[pack(rows.slice(0, 4))], [pack(rows.slice(4, 5)), padRows(rows.slice(5, 9))]]) {
    const numbers = await step.run(batches, learningRate);
    expect((await numbers.measures)['twice']).toBeCloseTo(2 * (await numbers.loss), 5);
  }
  const silent = await step.run([pack(rows.slice(0, 2)), { ...pack(rows.slice(2, 4)), unstated: ['twice'] }], 0);
  expect(await silent.measures).toEqual({});
  const all = { backend, loss, batches: [pack(rows.slice(0, 3)), pack(rows.slice(3))] };
  const evaluated = await evaluate(all);
  expect(evaluated.measures['twice']).toBeCloseTo(2 * evaluated.loss, 5);
  const some = await evaluate({ ...all, batches: [pack(rows), { ...pack(rows), unstated: ['twice'] }] });
  expect(some.measures).toEqual({});
  await step.dispose();
});
