import type { Operand, Step } from '@lowrank/tensor/backend';
import type { Spec } from '@lowrank/tensor/op';
import type { Limits } from './constants.js';
import type { ChoiceContext } from './choices.js';

/** One compute dispatch of a step: its WGSL (entry point `main`), its bindings in order, and its size. */
export interface KernelDispatch {
  readonly label: string;
  readonly code: string;
  readonly bindings: readonly Binding[];
  readonly workgroups: readonly [number, number, number];
  /** What `code` is made of, where `Shader` wrote it: for merging with others. */
  readonly source?: DispatchSource;
}

/** A shader without its bindings: its features, the storage arrays in the order of their bindings, and the rest. */
export interface DispatchSource {
  readonly features: readonly string[];
  readonly bound: readonly { readonly name: string; readonly type: BoundType }[];
  readonly body: string;
}

/** Element types of a storage binding. 16-bit and 8-bit data is bound as packed words. */
export type BoundType = 'f32' | 'vec4<f32>' | 'u32' | 'vec2<u32>' | 'vec4<u32>' | 'i32';

/** A slice of one of the plan's buffers. */
export interface Slice {
  readonly buffer: number;
  readonly offset: number;
  readonly bytes: number;
}

export interface Binding extends Slice {
  readonly access: 'read' | 'read_write' | 'uniform';
  /** Numbers that the executable keeps for this dispatch, in place of a slice of the plan's memory. */
  readonly sizes?: readonly number[];
}

/**
 * Stands for the executable's own uniform buffer in a binding: the scalars at its start, then the sizes of each
 * dispatch.
 */
export const parameters = -1;

/** What a kernel may know when it writes its shader. */
export interface KernelContext extends ChoiceContext {
  readonly limits: Limits;
  /** Index of the plan's scalars buffer, whose operands are bound as one uniform; and its size. */
  readonly scalars: { readonly buffer: number; readonly bytes: number } | undefined;
}

/** A step with the attributes of its op. */
export interface KernelStep<Attrs extends object> extends Omit<Step, 'attrs'> {
  readonly attrs: Attrs;
}

/** Turns one step into its dispatches. */
export type Kernel<Attrs extends object> = (step: KernelStep<Attrs>, context: KernelContext) => KernelDispatch[];

/** Operand `index` of a step; its absence is a defect of the plan. */
export function operand(operands: readonly Operand[], index: number, what: string): Operand {
  const found = operands[index];
  if (found === undefined) throw new TypeError(`${what} lacks operand ${index}`);
  return found;
}

/** A kernel as the table holds it: its dispatches and the scratch memory it wants from the planner. */
export interface KernelEntry {
  launches(step: Step, context: KernelContext): KernelDispatch[];
  workspace(inputs: readonly Spec[], outputs: readonly Spec[], attrs: object, context: ChoiceContext): number;
  /** Whether it reads and writes in f16, as in f32, what its op declares as `halves`. */
  halves(inputs: readonly Spec[], outputs: readonly Spec[], attrs: object, context: ChoiceContext): boolean;
  /** Steps of one class, of this op or of others, may become one dispatch; undefined for those that stay alone. */
  launchClass(
    inputs: readonly Spec[],
    outputs: readonly Spec[],
    attrs: object,
    context: ChoiceContext,
  ): string | undefined;
}

/** Declares the kernel of an op with attributes of type `Attrs`. */
export function defineKernel<Attrs extends object>(kernel: {
  launches: Kernel<Attrs>;
  workspace?: (inputs: readonly Spec[], outputs: readonly Spec[], attrs: Attrs, context: ChoiceContext) => number;
  halves?: (inputs: readonly Spec[], outputs: readonly Spec[], attrs: Attrs, context: ChoiceContext) => boolean;
  launchClass?: (
    inputs: readonly Spec[],
    outputs: readonly Spec[],
    attrs: Attrs,
    context: ChoiceContext,
  ) => string | undefined;
}): KernelEntry {
  return {
    // The op that made the step checked its attributes: here is the one place that trusts it.
    launches: (step, context) => kernel.launches(step as KernelStep<Attrs>, context),
    workspace: (inputs, outputs, attrs, context) => kernel.workspace?.(inputs, outputs, attrs as Attrs, context) ?? 0,
    halves: (inputs, outputs, attrs, context) => kernel.halves?.(inputs, outputs, attrs as Attrs, context) ?? false,
    launchClass: (inputs, outputs, attrs, context) => kernel.launchClass?.(inputs, outputs, attrs as Attrs, context),
  };
}
