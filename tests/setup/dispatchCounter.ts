import type { RunnerTask, RunnerTestSuite } from 'vitest';

let dispatches = 0;
/** The count when the test file began: Node runs the files of a project in one process. */
let before = 0;
const counted = new WeakSet<GPUComputePassEncoder>();

/** How many dispatches this test file has encoded so far, whichever module encoded them. */
export function dispatchCount(): number {
  return dispatches - before;
}

/**
 * Counts at the encoder itself, below every library: a backend that quietly computes elsewhere cannot pretend. Call
 * before a file's tests.
 */
export function countDispatches(encoder: { prototype: GPUComputePassEncoder }): void {
  before = dispatches;
  if (counted.has(encoder.prototype)) return;
  counted.add(encoder.prototype);
  for (const name of ['dispatchWorkgroups', 'dispatchWorkgroupsIndirect'] as const) {
    const encode: unknown = Reflect.get(encoder.prototype, name);
    if (typeof encode !== 'function')
      throw new Error(`GPUComputePassEncoder has no ${name}: dispatches cannot be counted`);
    Reflect.set(encoder.prototype, name, function counting(this: GPUComputePassEncoder, ...args: unknown[]): unknown {
      dispatches += 1;
      return Reflect.apply(encode, this, args);
    });
  }
}

/**
 * Call after a file's tests.
 *
 * @throws Error when none of them dispatched anything. A run narrowed to some tests (`-t`) may hold only tests that do
 * not.
 */
export function assertDispatched(file: Readonly<RunnerTestSuite>): void {
  const narrowed = file.tasks.some(isSkipped);
  if (dispatchCount() === 0 && !narrowed) {
    throw new Error(
      `${file.name}: no GPU dispatch was counted in a WebGPU test file. Expected at least one: the tests ran ` +
        'elsewhere, or do not belong here.',
    );
  }
  console.log(`${file.name}: ${dispatchCount()} GPU dispatches`);
}

function isSkipped(task: RunnerTask): boolean {
  return task.mode === 'skip' || (task.type === 'suite' && task.tasks.some(isSkipped));
}
