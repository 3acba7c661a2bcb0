import { Parameter } from '@lowrank/nn';
import { crossEntropy, linear, readTensor, Rng, tensor } from '@lowrank/tensor';
import { holdState, train } from '@lowrank/trainer';
import type { Batch, TrainSession, TrainState } from '@lowrank/trainer';
import { createWebgpuBackend, WebgpuBackend } from '@lowrank/webgpu';
import type { TunerOptions, TuningStore } from '@lowrank/webgpu';
import { expect, test } from 'vitest';
import { productCandidates } from '../packages/webgpu/src/tuning/productCandidates.js';
import { readDecisions, writeDecisions } from '../packages/webgpu/src/tuning/tuningRecord.js';

type Name = 'x' | 'y';
/** A long sum, of which kernels make several parts or one: then the last bits differ. */
const [rows, width, classes] = [4, 1024, 8];

interface Ran {
  /** Losses and gradient norms. */
  readonly steps: readonly (readonly [loss: number, gradNorm: number])[];
  readonly weights: Float32Array;
  readonly state: TrainState | undefined;
}

/** Four steps of a classifier of one layer, or those that follow a state; the state after the second is held. */
async function run(backend: WebgpuBackend, resume?: TrainState): Promise<Ran> {
  const rng = new Rng(1);
  const normal = (size: number): Float32Array => Float32Array.from({ length: size }, () => rng.normal());
  const weight = tensor(normal(classes * width), [classes, width], { name: 'weight' });
  const parameters = [{ name: 'weight', parameter: new Parameter(weight) }];
  const x = { data: normal(rows * width), shape: [rows, width] };
  const y = { data: Int32Array.from({ length: rows }, (_, row) => row), shape: [rows] };
  const batch: Batch<Name> = { inputs: { x, y } };
  const steps: [number, number][] = [];
  let state: TrainState | undefined;
  await train<TrainSession<Name>, Name>({
    createSession: () => ({
      backend,
      loss: (inputs) => crossEntropy(linear(inputs.x, parameters[0]?.parameter.tensor ?? weight), inputs.y),
      parameters,
    }),
    batches: Array.from({ length: 4 - (resume?.step ?? 0) }, () => [batch])[Symbol.iterator](),
    steps: 4,
    learningRate: 0.1,
    saveEvery: 2,
    resume,
    async checkpoint(_, reached) {
      if (reached.step === 2) state = await holdState(reached);
      return '';
    },
    onEvent(event) {
      if (event.type === 'step') steps.push([event.loss, event.gradNorm]);
    },
  });
  const weights = ((await readTensor(parameters[0]?.parameter.tensor ?? weight)) as Float32Array).slice();
  return { steps, weights, state };
}

/** A record in which every class that one was asked for has another form than the table's. */
function otherForms(text: string, { profile, device: { limits } }: WebgpuBackend): string {
  const decisions = [...(readDecisions(text) ?? [])].map(([key]) => {
    const [sides = '', operands = '', sizes = ''] = key.split(' ');
    const [m = 1, n = 1, k = 1] = sizes.split('x').map(Number);
    const [transposeA, transposeB] = [sides.startsWith('T'), sides.endsWith('T')];
    const size = { batch: 1, m, n, k, transposeA, transposeB, encoded: false, operands, fused: false };
    return [key, { form: productCandidates(size, { profile, limits })[1]?.name }] as const;
  });
  return writeDecisions(new Map(decisions), JSON.parse(text) as { version: string; device: string });
}

test('a run with tuned kernels goes on bit for bit by the choices in its checkpoint', async () => {
  const owner = await createWebgpuBackend({ tier: 'registers' });
  const backendOf = (tuner?: TunerOptions): WebgpuBackend =>
    new WebgpuBackend(owner.device, { tier: 'registers', tuner: tuner && { ...tuner, software: true } });
  let text: string | undefined;
  const store: TuningStore = {
    read: () => Promise.resolve(text),
    write: (_, written) => Promise.resolve(void (text = written)),
  };
  // Without time everything keeps the table's form: this tells which classes there are.
  const table = await run(backendOf({ store, seconds: 0 }));
  text = otherForms(text ?? '', owner);
  const tuned = await run(backendOf({ store }));
  // The choices count.
  expect(tuned.weights).not.toEqual(table.weights);
  expect(tuned.state?.kernels).toMatchObject({ forms: { 'NT f32·f32 4x8x1024': expect.stringMatching(/ whole$/) } });
  // On a backend that measures nothing, and knows of no store.
  const rest = await run(backendOf(), tuned.state);
  expect(rest.steps).toEqual(tuned.steps.slice(2));
  expect(rest.weights).toEqual(tuned.weights);
  // A run by the table stays with it, whatever was measured since.
  expect(table.state).not.toHaveProperty('kernels');
  const plain = await run(backendOf({ store }), table.state);
  expect(plain.steps).toEqual(table.steps.slice(2));
  expect(plain.weights).toEqual(table.weights);
  owner.dispose();
});
