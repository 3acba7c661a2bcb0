import type { DeviceBuffer, DeviceMemory } from './memory.js';
import type { Precision } from './precision.js';
import type { Spec } from './spec.js';
import type { KernelName } from './ops/index.js';

/**
 * A backend runs plans. It knows buffers, kernels and how to replay a list of steps; it does not know graphs,
 * gradients, passes, placement, models or files. All its work has static shapes and memory that
 * the compiler has laid out.
 */
export interface Backend extends DeviceMemory {
  /** For people: the adapter or the processor, and which kernels were chosen. */
  readonly description: string;
  readonly spec: BackendSpec;
  /**
   * Makes everything a plan needs to be replayed: pipelines, bindings. `buffers[i]` is the memory of `plan.buffers[i]`.
   */
  prepare(plan: Plan, buffers: readonly DeviceBuffer[]): Promise<Executable>;
  /** Where the backend chooses between forms of kernels by measuring them. */
  readonly kernelChoices?: KernelChoices;
  /** Waits until all work is done; throws what went wrong meanwhile. */
  finish(): Promise<void>;
  readonly memory: MemoryReport;
  /** Frees everything. The process can end afterwards. */
  dispose(): void;
}

/**
 * Choices between forms of kernels that a backend measures for itself. They give the same numbers but for the order of
 * summation, so they hold still while a training goes on, and a checkpoint keeps them.
 */
export interface KernelChoices {
  /** Another one after a choice has changed: plans made before are to be made again. */
  readonly version: number;
  /** Measures what the plan's kernels leave to choose and is not decided yet, within a bounded time. */
  tune(plan: Plan): Promise<void>;
  /**
   * Begins a training: choices of a checkpoint (`choices` is what `saved` gave then) count alone, and nothing is
   * measured; without a checkpoint what was measured counts, and `tune` measures. Choices of another device are left
   * out of account.
   */
  begin(saved?: { readonly choices: unknown }): Promise<void>;
  /** From here on nothing is measured: what is not decided goes by the backend's table, until `begin`. */
  fix(): void;
  /** The choices that count since `begin`, as plain JSON; undefined where all are the table's. */
  saved(): unknown;
}

/** What is allocated on a backend now, by count and bytes: the leak check. */
export interface MemoryReport {
  readonly buffers: number;
  readonly bytes: number;
  readonly peakBytes: number;
}

/** What the compiler may assume of a backend. */
export interface BackendSpec {
  /** Offsets of placed values are multiples of this many bytes. */
  readonly alignment: number;
  readonly maxBufferBytes: number;
  readonly maxBindingBytes: number;
  /** Tensor operands of one kernel, inputs, outputs and workspace together; `Scalar` inputs are free. */
  readonly maxOperands: number;
  /** No kernel may read one slice of a buffer and write another slice of the same buffer. */
  readonly separateReadWrite: boolean;
  /** What matrix products round their operands to; default `f32`: nothing. */
  readonly precision?: Precision;
  readonly fusion: {
    /** Longest fused elementwise program; 1 turns the fusion off. */
    readonly elementwiseInstructions: number;
    /** matmul takes `+ h·u` and `+ addend`. */
    readonly matmulEpilogue: boolean;
    /** Kernels scale what they write and add to it, where their op declares it; else that is a launch of its own. */
    readonly absorption: boolean;
    /** Backward ops that declare `remakes` do: activations die after the forward pass. */
    readonly remaking?: boolean;
    /** A matmul of these operands makes its left one itself, where that is the output of an op with `asLeftOperand`. */
    leftOperand?(inputs: readonly Spec[], attrs: object): boolean;
    /** A matmul with these attributes, `further` products or an `epilogue` among them, has a kernel. */
    product?(inputs: readonly Spec[], attrs: object): boolean;
  };
  /**
   * Instructions of one class may become one launch (`Step.group`); undefined for those that are launched alone.
   * Without it all are.
   */
  launchClass?(op: KernelName, inputs: readonly Spec[], outputs: readonly Spec[], attrs: object): string | undefined;
  /**
   * In mixed precision: whether the kernel of an instruction reads and writes, in f16 as in f32, what its op declares
   * as `halves`, rows of whole groups of four. Without it all intermediates are f32.
   */
  keepsHalves?(op: KernelName, inputs: readonly Spec[], outputs: readonly Spec[], attrs: object): boolean;
  /** Scratch memory of one kernel launch, in bytes; 0 for most. */
  workspaceBytes(op: KernelName, inputs: readonly Spec[], outputs: readonly Spec[], attrs: object): number;
}

/** Where a value lies: a slice of one of the plan's buffers. */
export interface Operand extends Spec {
  /** Index into `Plan.buffers`. */
  readonly buffer: number;
  /** In bytes, a multiple of `BackendSpec.alignment` (of 4 in the scalars buffer). */
  readonly offset: number;
  readonly bytes: number;
}

/** Data of the caller's that outlives a run: a tensor's Source. */
export interface PersistentData {
  readonly name: string;
  readonly bytes: number;
  /** The tensor that this is some rows of. */
  readonly source?: PersistentData;
  /** Its buffer on a backend, moved there by the first call. */
  on(memory: DeviceMemory): DeviceBuffer;
  dispose(): void;
}

/** A number that the host may change between runs: a Scalar. */
export interface HostNumber {
  readonly value: number;
  readonly dtype: 'f32' | 'i32' | 'u32';
}

export type PlanBuffer =
  | { readonly kind: 'arena'; readonly bytes: number }
  /** All arguments of the compiled function, written before the steps. */
  | { readonly kind: 'inputs'; readonly bytes: number }
  /**
   * All scalars, 4 bytes each, written before the steps; padded to 16 bytes, for a backend that binds it as a uniform
   * of vectors. Operands in it are 0-d.
   */
  | { readonly kind: 'scalars'; readonly bytes: number }
  /** A persistent tensor of the caller's, read and perhaps written in place. */
  | { readonly kind: 'source'; readonly bytes: number; readonly source: PersistentData }
  /** A persistent tensor that the caller names at each run: the argument of this name. */
  | { readonly kind: 'argument'; readonly bytes: number; readonly name: string };

/**
 * One kernel launch: the op, its attributes and where its operands lie. In-place operands are the same slice in
 * `inputs` and `outputs`.
 */
export interface Step {
  readonly op: KernelName;
  /** The attributes as the op's file declares them. */
  readonly attrs: object;
  readonly inputs: readonly Operand[];
  readonly outputs: readonly Operand[];
  readonly workspace: Operand | undefined;
  /** Module path, for dumps, profiles and errors. */
  readonly scope: string;
  readonly flops: number;
  /**
   * Neighbours of one number do not depend on each other, and their operands lie as those of one kernel do: a backend
   * may run them as one launch, or one after another.
   */
  readonly group?: number;
}

/** A program of static shapes with its memory laid out: what `compile` makes of a trace, and all a backend needs. */
export interface Plan {
  readonly buffers: readonly PlanBuffer[];
  readonly steps: readonly Step[];
  readonly inputs: readonly (Operand & { readonly name: string })[];
  readonly scalars: readonly HostNumber[];
  /** Values the caller may read after a run. */
  readonly outputs: readonly (Operand & { readonly name: string })[];
}

export interface RunRequest {
  /** Bytes of the whole 'inputs' buffer. */
  readonly inputs: Uint8Array;
  /** Bytes of the whole 'scalars' buffer. */
  readonly scalars: Uint8Array;
  /** Outputs to copy out, by index into `plan.outputs`. */
  readonly read: readonly number[];
}

/** What one launch of a kernel took. */
export interface LaunchTime {
  /** Index into `Plan.steps`. */
  readonly step: number;
  /** The kernel's name: its op, its shapes and its form. */
  readonly kernel: string;
  /** Milliseconds since the first launch began. */
  readonly start: number;
  readonly milliseconds: number;
  /** Bytes of the operands, each counted as read or written once. */
  readonly bytes: number;
}

/** A run of a plan, launch by launch. */
export interface ProfiledRun {
  /**
   * What measured: the device's own timestamps; the host, around a submit for each launch; or the host, around the
   * work itself.
   */
  readonly clock: 'timestamps' | 'submits' | 'host';
  readonly launches: readonly LaunchTime[];
}

export interface Executable {
  /**
   * Replays the plan once. Resolves when the run has been handed to the device (with back-pressure); the copies of the
   * outputs arrive later, in the order of `read`. Allocates nothing on the device.
   */
  run(request: RunRequest): Promise<{ readonly outputs: Promise<ArrayBuffer>[] }>;
  /** Replays the plan once as `run`, reads nothing, and tells what each launch took: slower as a whole. */
  profile?(request: Omit<RunRequest, 'read'>): Promise<ProfiledRun>;
  /** Frees what `prepare` made; the buffers belong to the caller. */
  dispose(): void;
}
