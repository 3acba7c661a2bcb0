import { packBatch } from '@lowrank/data';
import type { EncodedRow } from '@lowrank/data';
import { readAdapter } from '@lowrank/lora';
import type { LoadOptions, ModelFiles } from '@lowrank/models';
import { loadCausalModel } from '@lowrank/models';
import { loadAdapter } from '@lowrank/patch';
import type { ByteSource } from '@lowrank/safetensors';
import type { Backend } from '@lowrank/tensor';
import type { ScheduleName, StepEvent } from '@lowrank/trainer';
import { evaluate, train } from '@lowrank/trainer';

/** Ids and labels of rows, as the goldens keep them: `labels[i]` belongs to `ids[i]`. */
export interface GoldenRow {
  readonly ids: readonly number[];
  readonly labels: readonly number[];
}

export interface TrajectoryOptions {
  readonly backend: Backend;
  readonly model: ModelFiles;
  readonly quantization?: LoadOptions['quantization'];
  readonly adapter: { readonly config: unknown; readonly weights: ByteSource };
  readonly rows: readonly GoldenRow[];
  readonly evalRows: readonly GoldenRow[];
  readonly steps: number;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly schedule: ScheduleName;
  readonly warmup: number;
  readonly weightDecay: number;
  readonly clip: number;
}

export interface Trajectory {
  readonly steps: readonly StepEvent[];
  readonly before: number;
  readonly after: number;
}

/**
 * Trains an adapter from a given start on rows in file order, packed, and tells every step: what the goldens of PyTorch
 * did.
 */
export async function trainTrajectory(options: TrajectoryOptions): Promise<Trajectory> {
  const { backend, adapter, batchSize } = options;
  const model = await loadCausalModel(options.model, {
    quantization: options.quantization,
    backend: () => Promise.resolve(backend),
  });
  const evalBatch = packBatch(options.evalRows.map(encoded));
  const lossNow = async (): Promise<number> =>
    (await evaluate({ backend, loss: (batch) => model.loss(batch), batches: [evalBatch] })).loss;
  const before = await lossNow();
  const { parameters } = await loadAdapter(model, await readAdapter({ ...adapter, name: 'init' }));
  const rows = options.rows.map(encoded);
  const steps: StepEvent[] = [];
  const { schedule, warmup, weightDecay, clip, learningRate } = options;
  await train({
    createSession: () => ({ backend, loss: (batch) => model.loss(batch), parameters }),
    batches: inOrder(rows, batchSize),
    steps: options.steps,
    learningRate,
    schedule,
    warmup,
    weightDecay,
    clip,
    onEvent: (event) => {
      if (event.type === 'step') steps.push(event);
    },
  });
  return { steps, before, after: await lossNow() };
}

/** Step k takes rows in order, wrapping. */
function* inOrder(
  rows: readonly EncodedRow[],
  size: number,
): Generator<ReturnType<typeof packBatch>[], never, undefined> {
  for (let start = 0; ; start += size) {
    yield [
      packBatch(Array.from({ length: size }, (_, at) => rows[(start + at) % rows.length]).flatMap((row) => row ?? [])),
    ];
  }
}

function encoded({ ids, labels }: GoldenRow, at: number): EncodedRow {
  const labelTokens = labels.slice(1).filter((label) => label >= 0).length;
  return {
    line: at + 1,
    ids: Int32Array.from(ids),
    labels: Int32Array.from(labels),
    labelTokens,
    fullLength: ids.length,
    promptIsPrefix: true,
  };
}

/** The largest relative difference between two lists. */
export function worstDifference(ours: readonly number[], theirs: readonly number[]): number {
  if (ours.length !== theirs.length) return Infinity;
  return Math.max(...ours.map((value, at) => Math.abs(value - (theirs[at] ?? NaN)) / Math.abs(theirs[at] ?? NaN)));
}
