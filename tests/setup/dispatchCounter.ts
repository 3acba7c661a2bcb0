import type { RunnerTask, RunnerTestSuite } from 'vitest';

let dispatches = 0;

/** How many dispatches this test file has encoded so far, whichever module encoded them. */
export function dispatchCount(): number {
  return dispatches;
}

/**
 * Counts at the encoder itself, below every library: a backend that quietly computes elsewhere cannot pretend.
 */
export function countDispatches(encoder: { prototype: GPUComputePassEncoder }): void {
  const { prototype } = encoder;
  const direct = prototype.dispatchWorkgroups;
  const indirect = prototype.dispatchWorkgroupsIndirect;
  prototype.dispatchWorkgroups = function counted(...sizes) {
    dispatches += 1;
    return direct.apply(this, sizes);
  };
  prototype.dispatchWorkgroupsIndirect = function counted(...source) {
    dispatches += 1;
    return indirect.apply(this, source);
  };
}

/**
 * Call after a file's tests.
 *
 * @throws Error when none of them dispatched anything. A run narrowed to some tests (`-t`) may hold only tests that do not.
 */
export function assertDispatched(file: Readonly<RunnerTestSuite>): void {
  const narrowed = file.tasks.some(isSkipped);
  if (dispatches === 0 && !narrowed) {
    throw new Error(`${file.name}: no GPU dispatch was counted in a WebGPU test file. Expected at least one: the tests ran elsewhere, or do not belong here.`);
  }
  console.log(`${file.name}: ${dispatches} GPU dispatches`);
}

function isSkipped(task: RunnerTask): boolean {
  return task.mode === 'skip' || (task.type === 'suite' && task.tasks.some(isSkipped));
}
