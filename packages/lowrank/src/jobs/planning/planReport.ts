import type { QuantizationSettings } from '@lowrank/quant';
import type { TaskName } from '../../tasks/task.js';
import type { Variant } from './planFit.js';
import type { PlannedTime } from './time/plannedTime.js';
import type { PlannedRun, RunCost } from './planRun.js';

/**
 * What `lowrank plan` prints. Bytes are those that the run allocates on the device, without what WebGPU itself keeps
 * besides buffers.
 */
export interface PlanReport {
  readonly model: string;
  readonly model_type: string;
  /** null of a run that learns to write text. */
  readonly task: TaskName | null;
  readonly layers: number;
  readonly parameters: number;
  readonly method: PlannedRun['method'];
  readonly r: number | null;
  /** null also for the layers that a method takes by itself. */
  readonly target_modules: readonly string[] | null;
  readonly virtual_tokens: number | null;
  readonly bottleneck: number | null;
  readonly dtype: PlannedRun['dtype'];
  readonly quantization: QuantizationSettings | null;
  /** Whether the embedding and the output projection are in 8-bit rows. */
  readonly quantize_embeddings: boolean;
  readonly checkpointing: boolean;
  /** Layers, the first ones, that are computed again in the backward pass. */
  readonly recomputed_layers: number;
  readonly optimizer: PlannedRun['optimizer'];
  readonly batch_size: number;
  readonly gradient_accumulation: number;
  readonly max_length: number;
  /** The sequences that a step runs one after another: rows are packed as `lowrank train` packs them. */
  readonly batches: readonly { readonly batch: number; readonly length: number }[];
  readonly trainable_parameters: number;
  /** Of all parameters, the adapter's included. */
  readonly trainable_share: number;
  /** The file that the run would save, in 16 and in 32 bits. */
  readonly file_bytes: RunCost['file'];
  readonly bytes: RunCost['bytes'];
  readonly largest_buffer_bytes: number;
  /** Floating-point operations of a step, multiply and add counted apart. */
  readonly flops: number;
  /** Kernel launches of a batch. */
  readonly kernels: number;
  readonly device: string;
  /** What there is room for; null where that is not known. */
  readonly memory_bytes: number | null;
  readonly fits: boolean | null;
  /** What `on` asked for. */
  readonly time: PlannedTime | null;
  /** What would make it fit, planned; empty where it fits or nothing is known. */
  readonly variants: readonly Variant[];
}
