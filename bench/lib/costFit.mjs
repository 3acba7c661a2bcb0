import { median } from './statistics.mjs';

/**
 * The model of `lowrank plan --on` fitted to measured steps: of each group of launches the share e of the device's
 * rates that it reaches, so that a group takes best / e + launches · launch seconds.
 *
 * @typedef {{ group: string, launches: number, milliseconds: number, best_ms: number }} MeasuredGroup
 * @typedef {{ name: string, step_ms: number, launch_ms: number, groups: readonly MeasuredGroup[] }} MeasuredStep
 */

/**
 * @param {readonly MeasuredStep[]} steps
 * @returns {Record<string, number>} the share by group: the median over the steps, which a disturbed one moves little
 */
export function fitEfficiency(steps) {
  /** @type {Map<string, number[]>} */
  const shares = new Map();
  for (const { groups, launch_ms: launch } of steps)
    for (const { group, launches, milliseconds, best_ms: best } of groups) {
      // Its work is at least a twentieth of a launch's time, however dear launches are.
      const taken = Math.max(milliseconds - launches * launch, milliseconds / 20);
      shares.set(group, [...(shares.get(group) ?? []), best / taken]);
    }
  return Object.fromEntries([...shares].map(([group, some]) => [group, median(some)]));
}

/**
 * @param {MeasuredStep} step
 * @param {Record<string, number>} efficiency
 * @returns {number} milliseconds
 */
export function predict({ groups, launch_ms: launch }, efficiency) {
  return groups.reduce(
    (sum, { group, launches, best_ms: best }) => sum + best / (efficiency[group] ?? 1) + launches * launch,
    0,
  );
}

/**
 * Each step by what was fitted to all others.
 *
 * @param {readonly MeasuredStep[]} steps
 * @returns {{ name: string, measured: number, predicted: number, error: number }[]} milliseconds; the error is
 * predicted / measured − 1
 */
export function leaveOneOut(steps) {
  return steps.map((step) => {
    const predicted = predict(step, fitEfficiency(steps.filter((each) => each !== step)));
    return { name: step.name, measured: step.step_ms, predicted, error: predicted / step.step_ms - 1 };
  });
}
