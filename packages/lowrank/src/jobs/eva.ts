import type { EncodedRow, TrainingRows } from '@lowrank/data';
import { evaluationBatches, ignored } from '@lowrank/data';
import type { LoraConfig } from '@lowrank/lora';
import { evaConfig } from '@lowrank/lora';
import type { CausalModel } from '@lowrank/models';
import type { InputBatch, MeasureOptions } from '@lowrank/patch';
import type { Backend } from '@lowrank/tensor';
import { reshape, Rng } from '@lowrank/tensor';

/** Where EVA looks. */
export interface EvaData {
  /** The rows of the training. */
  readonly rows: TrainingRows;
  readonly backend: () => Promise<Backend>;
  readonly batchSize: number;
  readonly seed: number;
}

/**
 * EVA over a training's rows: packed into sequences of one length, so that one plan serves all. What counts are the
 * tokens that are to be learned, as in PEFT, or all of them.
 */
export async function evaMeasure(
  module: CausalModel,
  config: LoraConfig,
  { rows, backend, batchSize, seed }: EvaData,
): Promise<MeasureOptions> {
  const { useLabelMask, batches } = evaConfig(config.eva);
  const drawn = await draw(rows, batches * batchSize, seed);
  // Laid out like the rows: a row of its own in which each id says whether the token counts. Padding does not, its id
  // is 0.
  const marked = drawn.map((row) => ({
    ...row,
    ids: row.labels.map((label) => (useLabelMask && label === ignored ? 0 : 1)),
  }));
  const marks = drawn.length === 0 ? [] : evaluationBatches(marked);
  const laidOut = drawn.length === 0 ? [] : evaluationBatches(drawn);
  const found = laidOut.map(({ inputs: { ids, positions, segments } }, at): InputBatch => {
    return { inputs: { ids, positions, segments }, counted: marks[at]?.inputs.ids.data ?? new Int32Array() };
  });
  return {
    backend: await backend(),
    batches: () => found,
    forward({ ids, positions, segments }) {
      if (ids === undefined || positions === undefined || segments === undefined) throw new TypeError('a batch');
      // Up to the output projection, whose input is measured where it is a target; the logits themselves nobody asks
      // for.
      return module.logits(reshape(module.hidden(ids, { positions, segments }), [ids.size, module.shape.hiddenSize]));
    },
  };
}

async function draw(rows: TrainingRows, count: number, seed: number): Promise<EncodedRow[]> {
  const rng = new Rng(seed, 0xe7a);
  // Where a place's row went, of those that were swapped: Fisher and Yates' shuffle, as far as it is needed.
  const moved = new Map<number, number>();
  const drawn: EncodedRow[] = [];
  for (let at = 0; at < rows.length && drawn.length < count; at++) {
    const from = at + rng.integer(rows.length - at);
    const chosen = moved.get(from) ?? from;
    moved.set(from, moved.get(at) ?? at);
    const row = await rows.at(chosen);
    if (row !== undefined) drawn.push(row);
  }
  return drawn;
}
