import { createCpuBackend } from '@lowrank/cpu';
import { trainingBatches } from '@lowrank/data';
import { ReferenceBackend } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import type { Shown } from './resumeCases.js';
import { datasetRows, runAdapter } from './resumeCases.js';

/** What of a run comes after a step. */
function after(step: number, { steps, evaluations, ...rest }: Shown): Shown {
  return { ...rest, steps: steps.filter(([at]) => at > step), evaluations: evaluations.filter(([at]) => at > step) };
}

test('20 steps are 10, a resume and 10 more, bit for bit, and looking on the way changes nothing', async () => {
  const backend = await createCpuBackend();
  const { shown: plain } = await runAdapter(backend, { steps: 20 });
  const { shown: whole, states } = await runAdapter(backend, { steps: 20, saveEvery: 5, evaluateEvery: 4 });
  expect(whole).toEqual({ ...plain, evaluations: whole.evaluations });
  expect(whole.evaluations.map(([step]) => step)).toEqual([4, 8, 12, 16, 20]);
  const state = states.get(10);
  expect([...new Set([...(state?.tensors.keys() ?? [])].map((name) => name.split('.')[0]))]).toEqual([
    'parameter',
    'firstMoment',
    'secondMoment',
    'firstCodes',
    'secondCodes',
    'momentScales',
  ]);
  // The second process compiles its plans in another order, over memory of another size.
  const rows = await datasetRows();
  const largest = trainingBatches(rows, { batchSize: rows.length, packing: false }).next().value;
  const { shown: rest } = await runAdapter(backend, {
    steps: 20,
    saveEvery: 5,
    evaluateEvery: 4,
    resume: state,
    largest: [...largest, ...largest],
  });
  expect(rest).toEqual(after(10, whole));
  backend.dispose();
});

test('on another device it goes on close to where it would have gone', async () => {
  const backend = await createCpuBackend();
  const { shown: whole, states } = await runAdapter(backend, { steps: 4, saveEvery: 2 });
  // Its bindings are smaller, so its flat vectors are others.
  const other = new ReferenceBackend({ maxBindingBytes: 96 * 1024 });
  const { shown: rest } = await runAdapter(other, { steps: 4, resume: states.get(2) });
  expect(rest.steps.map(([step]) => step)).toEqual([3, 4]);
  for (const [at, [, loss]] of rest.steps.entries())
    expect(Math.abs(loss / (whole.steps[at + 2]?.[1] ?? NaN) - 1)).toBeLessThan(1e-4);
  backend.dispose();
});
