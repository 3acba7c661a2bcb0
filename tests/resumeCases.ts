import { readFile } from 'node:fs/promises';
import type { EncodedRow } from '@lowrank/data';
import { evaluationBatches, loadDataset, readTokenizer, trainingBatches } from '@lowrank/data';
import { loraConfig } from '@lowrank/lora';
import { loadCausalModel, openFolder } from '@lowrank/models';
import { withDropout } from '@lowrank/nn';
import { addAdapter } from '@lowrank/patch';
import type { Backend, RandomState } from '@lowrank/tensor';
import { readTensor, scalar } from '@lowrank/tensor';
import type { TrainOptions, TrainSession, TrainState } from '@lowrank/trainer';
import { holdState, train } from '@lowrank/trainer';
import { llamaFolder } from './parity/trainCases.js';

type Options = Partial<TrainOptions<TrainSession>>;

/** What a run showed and learned: every number of it. */
export interface Shown {
  readonly steps: readonly (readonly [step: number, loss: number, gradNorm: number])[];
  readonly evaluations: readonly (readonly [step: number, loss: number])[];
  readonly tokens: number;
  readonly weights: Readonly<Record<string, Float32Array>>;
}

export interface Ran {
  readonly shown: Shown;
  /** By step, held in memory. */
  readonly states: ReadonlyMap<number, TrainState>;
}

/**
 * Trains an adapter with dropout and moments in 8 bits (f32 for the small ones) on rows that are shuffled, packed into
 * sequences of several shapes, and accumulated.
 */
export async function runAdapter(
  backend: Backend,
  { resume, ...options }: Options & { readonly steps: number },
): Promise<Ran> {
  const model = await loadCausalModel(await openFolder(`${llamaFolder}tied`));
  const config = loraConfig({ r: 176, alpha: 16, targetModules: ['q_proj', 'k_proj', 'up_proj'], dropout: 0.25 });
  const random: RandomState = { seed: scalar(7, { dtype: 'u32' }), step: scalar(0, { dtype: 'u32' }) };
  const { parameters } = await addAdapter(model, config, { seed: 5 });
  const rows = await datasetRows();
  const data = resume?.data as { epoch: number; position: number } | undefined;
  const states = new Map<number, TrainState>();
  const shown: { steps: [number, number, number][]; evaluations: [number, number][] } = { steps: [], evaluations: [] };
  const result = await train<TrainSession>({
    createSession: () => ({
      backend,
      loss: (batch) => withDropout(random, () => model.loss(batch)),
      evaluationLoss: (batch) => model.loss(batch),
      parameters,
      random,
    }),
    batches: trainingBatches(rows, {
      batchSize: 3,
      gradientAccumulation: 2,
      seed: 2,
      maxPackedTokens: 48,
      state: data,
    }),
    evaluation: evaluationBatches(rows.slice(0, 5)),
    learningRate: 3e-3,
    schedule: 'cosine',
    warmup: 3,
    weightDecay: 0.1,
    clip: 1,
    optimizer: 'adamw8bit',
    resume,
    async checkpoint(_, state) {
      states.set(state.step, await holdState(state));
      return `state ${state.step}`;
    },
    onEvent(event) {
      if (event.type === 'step') shown.steps.push([event.step, event.loss, event.gradNorm]);
      if (event.type === 'evaluated') shown.evaluations.push([event.step, event.loss]);
    },
    ...options,
  });
  const weights: Record<string, Float32Array> = {};
  for (const { name, parameter } of parameters) {
    weights[name] = ((await readTensor(parameter.tensor)) as Float32Array).slice();
    parameter.tensor.dispose();
  }
  model.dispose();
  return { shown: { ...shown, tokens: result.tokens, weights }, states };
}

export async function datasetRows(): Promise<readonly EncodedRow[]> {
  const text = await readFile(`${llamaFolder}train/rows.jsonl`, 'utf8');
  return (await loadDataset(text, await readTokenizer(`${llamaFolder}tied`))).rows;
}
