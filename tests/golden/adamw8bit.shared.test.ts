import { packBatch } from '@lowrank/data';
import { createCpuBackend } from '@lowrank/cpu';
import type { OptimizerName } from '@lowrank/trainer';
import { createTrainStep } from '@lowrank/trainer';
import { sourceOf } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { goldenEvaluation, openGolden } from './goldenRun.js';

/** 12 steps of all weights of stories260K: losses, the evaluation's loss, and bytes of the moments. */
async function fullTraining(optimizer: OptimizerName): Promise<{ losses: number[]; after: number; bytes: number }> {
  const backend = await createCpuBackend();
  const golden = await openGolden('stories260K');
  const { model, rows } = golden;
  const parameters = [...model.namedParameters()].map(([name, parameter]) => ({ name, parameter }));
  const step = await createTrainStep({ backend, loss: (batch) => model.loss(batch), parameters, optimizer, clip: 1 });
  const losses: number[] = [];
  for (let at = 0; at < 12; at++)
    losses.push(await (await step.run([packBatch(rows.slice(8 * at, 8 * at + 8))], 5e-4)).loss);
  const bytes = step.vectors.reduce(
    (total, { state }) => total + Object.values(state).reduce((sum, { tensor }) => sum + sourceOf(tensor).bytes, 0),
    0,
  );
  const { loss: after } = await goldenEvaluation(golden, backend);
  await step.dispose({ weights: true });
  backend.dispose();
  return { losses, after, bytes };
}

test(
  '12 steps of full fine-tuning with moments in 8 bits end close to those with f32 moments, in a third of ' +
    'the memory',
  async () => {
    const full = await fullTraining('adamw');
    const eight = await fullTraining('adamw8bit');
    const worst = Math.max(...full.losses.map((loss, at) => Math.abs((eight.losses[at] ?? NaN) / loss - 1)));
    console.log(
      `evaluation ${full.after.toFixed(4)} with f32 moments (${full.bytes} bytes), ${eight.after.toFixed(4)} ` +
        `with 8 bits (${eight.bytes} bytes); worst relative difference of a step's loss ${worst.toExponential(1)}`,
    );
    expect(worst).toBeLessThan(2e-3);
    expect(Math.abs(eight.after / full.after - 1)).toBeLessThan(2e-3);
    expect(eight.bytes / full.bytes).toBeLessThan(0.32);
  },
  300_000,
);
