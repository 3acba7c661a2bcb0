import type { Backend, HostTensor, Results, Tensor } from '@lowrank/tensor';
import type { Arena } from '@lowrank/tensor/backend';
import type { Spec, Traceable } from '@lowrank/tensor/op';
import { compile } from '@lowrank/tensor';
import { runUnplanned } from '@lowrank/tensor/backend';
import { inputSpecs } from './batch.js';

/**
 * How traced functions are run: `fused` (the default), `unfused` (planned, but every op keeps its own kernel), or
 * `unplanned` (a separate executor with a buffer per op and no passes). The others exist to be compared with the first.
 */
export type Execution = 'fused' | 'unfused' | 'unplanned';

/** How traced functions are executed. */
export interface ExecutionOptions {
  readonly execution?: Execution;
  /** Memory for intermediates, shared with other functions. */
  readonly arena?: Arena;
}

/** What trainer needs of a compiled function. */
export interface Runnable<Outputs> {
  prepare(inputs: Readonly<Record<string, Spec>>): Promise<unknown>;
  run(inputs?: Readonly<Record<string, HostTensor>>): Promise<Results<Outputs>>;
  dispose(): Promise<void>;
}

export function makeRunnable<Outputs extends Record<string, Tensor>>(
  backend: Backend,
  fn: Traceable<Outputs>,
  { execution = 'fused', arena }: ExecutionOptions,
): Runnable<Outputs> {
  const compiled = compile(backend, fn, { fusion: execution !== 'unfused', arena });
  if (execution !== 'unplanned') {
    return {
      prepare: (inputs) => compiled.prepare(inputs),
      run: async (inputs) => (await compiled.run(inputs)) as Results<Outputs>,
      dispose: () => compiled.dispose(),
    };
  }
  return {
    prepare: () => Promise.resolve(),
    async run(inputs = {}) {
      const values = await runUnplanned(backend, compiled.trace(inputSpecs(inputs)), inputs);
      return Object.fromEntries(
        Object.entries(values).map(([name, value]) => [name, Promise.resolve(value)]),
      ) as Results<Outputs>;
    },
    dispose: () => compiled.dispose(),
  };
}
