/** A launch of a kernel on a device's own time line. */
export interface TimedLaunch {
  readonly kernel: string;
  /** Its kind: `products`, `attention`, … */
  readonly group: string;
  /** Module path. */
  readonly scope: string;
  /** Milliseconds since the first launch of its batch. */
  readonly start: number;
  readonly milliseconds: number;
  readonly bytes: number;
  readonly flops: number;
  /** How often a step runs the batch that it is of. */
  readonly times: number;
}

/** All launches of one kernel in a step, together. */
export interface KernelProfile {
  readonly kernel: string;
  readonly launches: number;
  readonly milliseconds: number;
  /** Of the time of all kernels. */
  readonly share: number;
  readonly bytes: number;
  readonly flops: number;
  readonly flops_per_second: number;
  readonly bytes_per_second: number;
  /** What the probes' rates would take for these operations or bytes, whichever is longer, over the time taken. */
  readonly of_best: number;
}

/** All launches of one kind in a step, together. */
export interface GroupProfile {
  readonly group: string;
  readonly launches: number;
  readonly milliseconds: number;
  readonly bytes: number;
  readonly flops: number;
  /** What the probes' rates would take for these operations or bytes, whichever is longer of each launch. */
  readonly best_ms: number;
  /** What `lowrank plan --on this` expects. */
  readonly expected_ms: number;
}

/** What `lowrank profile` found. */
export interface ProfileReport {
  readonly model: string;
  readonly method: string;
  readonly device: string;
  /** What measured: the device's timestamps, the host around a submit for each launch, or around the work itself. */
  readonly clock: 'timestamps' | 'submits' | 'host';
  readonly batches: readonly { readonly batch: number; readonly length: number }[];
  /** A step as training runs it. */
  readonly step_ms: number;
  /** What `lowrank plan --on this` expects of it. */
  readonly expected_ms: number;
  /** All kernels of a step, each timed alone. */
  readonly kernel_ms: number;
  readonly launches: number;
  readonly flops: number;
  /** Operands, each read or written once. */
  readonly bytes: number;
  /** The device at its best, measured with the same clock. */
  readonly probes: {
    readonly flops_per_second: number;
    readonly bytes_per_second: number;
    readonly launch_seconds: number;
  };
  /** The dearest first. */
  readonly groups: readonly GroupProfile[];
  /** The dearest first. */
  readonly kernels: readonly KernelProfile[];
}
