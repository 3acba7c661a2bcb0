import { createCpuBackend } from '@lowrank/cpu';
import { LowrankError } from '@lowrank/errors';
import { filesBy, loadCausalModel } from '@lowrank/models';
import { bytesSource } from '@lowrank/safetensors';
import type { Backend } from '@lowrank/tensor';
import { createWebgpuBackend } from '@lowrank/webgpu';
import { commands } from 'vitest/browser';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fetchFile, fetchJson, fetchModel } from '../helpers/browserFiles';
import type { GoldenRow, Trajectory } from '../helpers/trajectory';
import { trainTrajectory, worstDifference } from '../helpers/trajectory';
import { dispatchCount } from '../setup/dispatchCounter';

const folder = 'parity/golden/llama';

interface Golden {
  readonly recipe: {
    steps: number;
    batchSize: number;
    learningRate: number;
    schedule: 'linear';
    warmup: number;
    weightDecay: number;
    clip: number;
  };
  readonly losses: number[];
  readonly gradNorms: number[];
  readonly before: { loss: number };
  readonly after: { eval: { loss: number } };
}

let golden: Golden;
beforeAll(async () => {
  golden = await fetchJson<Golden>(`${folder}/train/lora.json`);
});

/** The same training by the command line in Node. */
function trainInNode(device: 'cpu' | 'webgpu'): ReturnType<typeof commands.trainInNode> {
  const { steps, batchSize, learningRate, schedule, warmup, weightDecay, clip } = golden.recipe;
  const numbers = {
    steps,
    'batch-size': batchSize,
    'learning-rate': learningRate,
    schedule,
    warmup,
    'weight-decay': weightDecay,
    clip,
  };
  const flags = Object.entries(numbers).flatMap(([name, value]) => [`--${name}`, String(value)]);
  return commands.trainInNode(device, [
    '--model',
    `${folder}/tied`,
    '--data',
    `${folder}/train/rows.jsonl`,
    '--init-adapter',
    `${folder}/train/lora/init`,
    '--no-shuffle',
    ...flags,
  ]);
}

/** The training of `parity/llamaTrain.py`, from the same adapter, on the same rows. */
async function trainGolden(backend: Backend): Promise<Trajectory> {
  const tokens = await fetchJson<Record<'rows' | 'eval', GoldenRow[]>>(`${folder}/train/tokens.json`);
  return trainTrajectory({
    ...golden.recipe,
    backend,
    model: await fetchModel(`${folder}/tied`),
    adapter: {
      config: await fetchJson(`${folder}/train/lora/init/adapter_config.json`),
      weights: bytesSource(await fetchFile(`${folder}/train/lora/init/adapter_model.safetensors`)),
    },
    rows: tokens.rows,
    evalRows: tokens.eval,
  });
}

describe.each([
  ['webgpu', () => createWebgpuBackend()],
  ['cpu', () => createCpuBackend()],
] as const)('LoRA on %s in Chromium', (name, open) => {
  let backend: Backend;
  let trajectory: Trajectory;
  let dispatches: number;
  beforeAll(async () => {
    const before = dispatchCount();
    backend = await open();
    trajectory = await trainGolden(backend);
    dispatches = dispatchCount() - before;
    console.log(
      `${name}: ${backend.description}; worst difference of a loss from PyTorch's ` +
        `${worstDifference(losses(), golden.losses).toExponential(1)}, of a gradient norm ` +
        `${worstDifference(gradNorms(), golden.gradNorms).toExponential(1)}`,
    );
  });
  afterAll(() => backend.dispose());
  const losses = (): number[] => trajectory.steps.map(({ loss }) => loss);
  const gradNorms = (): number[] => trajectory.steps.map(({ gradNorm }) => gradNorm);

  test('losses and gradient norms of every step are PyTorch’s', () => {
    expect(trajectory.steps).toHaveLength(golden.recipe.steps);
    expect(worstDifference(losses(), golden.losses)).toBeLessThan(1e-4);
    expect(worstDifference(gradNorms(), golden.gradNorms)).toBeLessThan(1e-4);
  });

  test('they are those of the command line in Node, on the same kind of device', async () => {
    const node = await trainInNode(name);
    expect(node.steps).toHaveLength(golden.recipe.steps);
    expect(
      worstDifference(
        losses(),
        node.steps.map(({ loss }) => loss),
      ),
    ).toBeLessThan(1e-4);
    expect(
      worstDifference(
        gradNorms(),
        node.steps.map(({ grad_norm }) => grad_norm),
      ),
    ).toBeLessThan(1e-4);
  });

  test('the loss on unseen rows is PyTorch’s, before and after', () => {
    expect(
      worstDifference([trajectory.before, trajectory.after], [golden.before.loss, golden.after.eval.loss]),
    ).toBeLessThan(1e-4);
  });

  test('it computed where it says', () => {
    expect(backend.name).toBe(name);
    if (name === 'webgpu') expect(dispatches).toBeGreaterThan(100);
    else expect(dispatches).toBe(0);
  });
});

test('a model folder without its weights is a sentence, not a stack', async () => {
  const files = filesBy({ 'config.json': bytesSource(await fetchFile(`${folder}/tied/config.json`)) }, 'picked');
  const error = await loadCausalModel(files).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(LowrankError);
  expect(String(error)).toMatch(/model\.safetensors.*neither/);
});
