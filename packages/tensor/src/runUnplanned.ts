import type { Backend } from './backend.js';
import type { HostArray } from './dtype.js';
import type { HostTensor, Trace } from './trace.js';
import type { UnplannedOptions } from './unplanned.js';

/**
 * Runs a trace op by op: no passes, a buffer per value, a submit per op, nothing shared with the planner but the
 * kernels. Slow; it exists so that a planned run can be compared with something simpler, and to name the first op that
 * yields a non-finite value. Persistent tensors beyond one binding are read by pieces; computed values of that size,
 * and what depends on them, are left out. It is loaded where it is used, which in
 * most runs is never.
 */
export async function runUnplanned(
  backend: Backend,
  trace: Trace,
  inputs: Readonly<Record<string, HostTensor>>,
  options: UnplannedOptions = {},
): Promise<Record<string, HostArray>> {
  return (await import('./unplanned.js')).runUnplanned(backend, trace, inputs, options);
}
