import { LowrankError } from '@lowrank/errors';
import type { Backend } from '@lowrank/tensor';
import { compile } from '@lowrank/tensor';
import type { OpenTask } from '../jobs/openTask.js';
import type { Output, Prediction, TaskContext, TaskRow, TaskUnit } from './task.js';
import { chunked, countOf, fetched, layOutTask } from './taskLayout.js';
import { taskBatchOf } from './taskBatch.js';

export interface RunTaskOptions {
  readonly backend: Backend;
  readonly signal?: AbortSignal | undefined;
  /** Whether rows have what a loss compares with. */
  readonly withLoss?: boolean;
  readonly onProgress?: ((done: number, of: number) => void) | undefined;
}

export interface TaskAnswers {
  /** By the place of their row. */
  readonly outputs: ReadonlyMap<number, readonly Output[]>;
  /** Mean; NaN where it was not asked for. */
  readonly loss: number;
}

/** Rows, and what they are to the model. */
export interface AskedRows {
  readonly rows: readonly TaskRow[];
  readonly units: readonly TaskUnit[];
  readonly context: TaskContext;
}

/** What a model predicts for every row; and the mean loss where there are answers. */
export async function predictRows(
  open: OpenTask,
  { rows, units, context }: AskedRows,
  options: RunTaskOptions,
): Promise<{ readonly predictions: Prediction[]; readonly loss: number }> {
  const { outputs, loss } = await runTask(open, units, options);
  return { predictions: rows.map((row, at) => open.task.predict(row, outputs.get(at) ?? [], context)), loss };
}

/** Positions of a batch that is asked. */
const most = 2048;

/** What a model says of every document, packed into sequences; and the mean loss where there are answers. */
async function runTask(
  { module, task, labels, images }: OpenTask,
  units: readonly TaskUnit[],
  { backend, signal, withLoss = false, onProgress }: RunTaskOptions,
): Promise<TaskAnswers> {
  if (withLoss && units.length === 0)
    throw new LowrankError({
      code: 'data.empty',
      what: 'the data',
      expected: 'at least one row with something to compare',
      got: 'none',
    });
  const chunks = chunked(units, most);
  const slots = Math.max(1, ...chunks.map(countOf));
  const step = compile(backend, (inputs: Parameters<typeof taskBatchOf>[0]) => {
    const batch = taskBatchOf(inputs);
    return {
      outputs: task.outputs(module, batch, inputs),
      ...(withLoss && { loss: task.loss(module, batch, inputs, labels).loss }),
    };
  });
  const outputs = new Map<number, Output[]>();
  let [loss, weight, done] = [0, 0, 0];
  try {
    for (const chunk of chunks) {
      if (signal?.aborted === true) break;
      const batch = layOutTask(await fetched(task, chunk), {
        task,
        labels,
        model: module,
        packed: true,
        slots,
        images,
      });
      const results: Readonly<Record<string, Promise<ArrayLike<number>>>> = await step.run(batch.inputs);
      const values = Float32Array.from((await results['outputs']) ?? []);
      if (withLoss) loss += (await results['loss'])?.[0] ?? NaN;
      weight += batch.weight;
      const byToken = task.kind === 'tokens' || task.kind === 'span';
      const width = values.length / (byToken ? batch.size : slots);
      const own = chunk.flatMap(({ documents, row }) => documents.map((document) => ({ document, row })));
      for (const [slot, { document, row }] of own.entries()) {
        const start = batch.placed[slot]?.start ?? 0;
        const from = byToken ? start : slot;
        const rows = byToken ? document.ids.length : 1;
        const said = values.slice(from * width, (from + rows) * width);
        outputs.set(row, [...(outputs.get(row) ?? []), { document, values: said }]);
      }
      done += chunk.length;
      onProgress?.(done, units.length);
    }
  } finally {
    await step.dispose();
  }
  return { outputs, loss: withLoss ? loss / weight : NaN };
}
