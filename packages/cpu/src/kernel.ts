import type { AttrsOf, KernelName, Operand } from '@lowrank/tensor/backend';
import type { Spec } from '@lowrank/tensor/op';
import { LowrankError } from '@lowrank/errors';
import type { Recorder } from './recorder.js';

/** An operand and the address it has for the life of the plan. */
export interface Place extends Operand {
  readonly address: number;
}

/** One step of a plan, ready to be turned into launches. */
export interface Call<Name extends KernelName> {
  readonly attrs: AttrsOf<Name>;
  readonly inputs: readonly Place[];
  readonly outputs: readonly Place[];
  /** Address of the scratch memory that `workspaceBytes` asked for. */
  readonly workspace: number;
  readonly recorder: Recorder;
}

/** How the CPU runs an op: the scratch memory it wants, and the launches that do it. */
export interface CpuKernel<Name extends KernelName> {
  workspaceBytes?(inputs: readonly Spec[], outputs: readonly Spec[], attrs: AttrsOf<Name>): number;
  lower(call: Call<Name>): void;
}

/** Operand `index`, which the op's shape rule has promised. */
export function at<T>(operands: readonly T[], index: number): T {
  const operand = operands[index];
  if (operand === undefined) throw new TypeError(`operand ${index} of ${operands.length}`);
  return operand;
}

/** The number by which kernels know a floating-point storage type. */
export function encodingOf({ dtype }: Spec): number {
  if (dtype === 'f32') return 0;
  if (dtype === 'bf16') return 1;
  if (dtype === 'f16') return 2;
  throw new LowrankError({ code: 'cpu.dtype', what: 'an operand', expected: 'f32, bf16 or f16', got: dtype });
}
