import { expect, test } from 'vitest';
import { fitEfficiency, leaveOneOut, predict } from './costFit.mjs';

/** A step whose products reach half of the rates and whose sums reach all; a launch takes 0.1 ms. */
const step = (name, products, sums) => ({
  name,
  launch_ms: 0.1,
  step_ms: 2 * products + sums + 3 * 0.1,
  groups: [
    { group: 'products', launches: 2, milliseconds: 2 * products + 0.2, best_ms: products },
    { group: 'sums', launches: 1, milliseconds: sums + 0.1, best_ms: sums },
  ],
});

test('what measured steps were made by is found again, and predicts a step that was left out', () => {
  const steps = [step('a', 10, 3), step('b', 2, 8), step('c', 40, 1)];
  const efficiency = fitEfficiency(steps);
  expect(efficiency['products']).toBeCloseTo(0.5, 12);
  expect(efficiency['sums']).toBeCloseTo(1, 12);
  expect(predict(steps[0], efficiency)).toBeCloseTo(23.3, 12);
  for (const { error } of leaveOneOut(steps)) expect(error).toBeCloseTo(0, 12);
});

test('a disturbed step is off, and makes no other one so', () => {
  const disturbed = step('d', 10, 3);
  disturbed.step_ms *= 2;
  for (const group of disturbed.groups) group.milliseconds *= 2;
  const checked = leaveOneOut([step('a', 10, 3), step('b', 2, 8), step('c', 40, 1), disturbed]);
  expect(checked.map(({ error }) => Math.abs(Math.round(100 * error)))).toEqual([0, 0, 0, 50]);
});
