import { LowrankError } from '@lowrank/errors';
import { checkBatchSize } from './batches.js';
import type { EncodedRow } from './encodeRow.js';
import type { SamplerState } from './sampler.js';
import { createSampler } from './sampler.js';
import type { TokenBatch } from './tokenBatch.js';
import { packBatches } from './tokenBatch.js';
import type { TrainingBatchOptions } from './trainingBatches.js';
import { evaluationLength, farthest, layOutStep, sizeOf } from './trainingBatches.js';
import type { TrainingRows } from './trainingRows.js';

/** Batches that are read as they are asked for. */
export interface RowBatches<T> extends AsyncIterableIterator<T> {
  next(): Promise<{ done: false; value: T }>;
  /** Where they stand: save it with a checkpoint, hand it in again to go on with the next batch. */
  readonly state: SamplerState;
}

/** Options of `rowBatches`: how rows of any kind become the micro-batches of optimizer steps. */
export interface RowBatchesOptions<Row, T> {
  /** Rows of one optimizer step. */
  readonly batchSize: number;
  readonly shuffle?: boolean | undefined;
  readonly seed?: number | undefined;
  /** Draw rows of like length together: the order of the shuffle, sorted by length within each so many steps. */
  readonly lengthOf?: ((row: Row) => number) | undefined;
  readonly state?: SamplerState | undefined;
  readonly layout: (rows: readonly Row[]) => T;
}

/** Steps whose rows are sorted by length together, as in transformers' LengthGroupedSampler. */
const groupedSteps = 50;

/**
 * Batches for training, without end, in the order of createSampler. Rows without a token to learn are passed over, so
 * that every batch has `batchSize` others; at the end of an epoch it goes on with the first of the next.
 *
 * @throws LowrankError `data.batchSize`, `data.noLabels` where an epoch has no row to learn, and what createSampler
 * throws
 */
export function rowBatches<Row, T>(
  rows: { readonly length: number; at(index: number): Row | undefined | Promise<Row | undefined> },
  options: RowBatchesOptions<Row, T>,
): RowBatches<T> {
  const { batchSize, lengthOf, layout } = options;
  checkBatchSize(batchSize);
  const draw = lengthOf === undefined ? drawSingly(rows, options) : drawGrouped(rows, { ...options, lengthOf });
  return {
    async next() {
      const taken: Row[] = [];
      let passed = 0;
      while (taken.length < batchSize) {
        const row = await draw.next();
        if (row !== undefined) taken.push(row);
        passed = row === undefined ? passed + 1 : 0;
        if (passed > rows.length) throw nothingToLearn(rows.length);
      }
      return { done: false, value: layout(taken) };
    },
    get state() {
      return draw.state;
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

interface Drawing<Row> {
  next(): Promise<Row | undefined>;
  readonly state: SamplerState;
}

type Drawn<Row> = Parameters<typeof rowBatches<Row, unknown>>[0];

function drawSingly<Row>(rows: Drawn<Row>, options: Omit<RowBatchesOptions<Row, unknown>, 'layout'>): Drawing<Row> {
  const { shuffle, seed, state } = options;
  const sampler = createSampler({ rows: rows.length, shuffle, seed, state });
  return {
    next: async () => await rows.at(sampler.take(1)[0] ?? 0),
    get state() {
      return sampler.state;
    },
  };
}

/** Groups never reach over the end of an epoch, so that a place within an epoch is a place within a group. */
function drawGrouped<Row>(
  rows: Drawn<Row>,
  options: Omit<RowBatchesOptions<Row, unknown>, 'layout'> & { readonly lengthOf: (row: Row) => number },
): Drawing<Row> {
  const { shuffle, seed, lengthOf, batchSize } = options;
  const size = batchSize * groupedSteps;
  let { epoch, position } = options.state ?? { epoch: 0, position: 0 };
  let group:
    | { readonly epoch: number; readonly start: number; readonly rows: readonly (Row | undefined)[] }
    | undefined;
  return {
    async next() {
      if (position === rows.length) [epoch, position] = [epoch + 1, 0];
      const start = position - (position % size);
      if (group?.epoch !== epoch || group.start !== start) {
        const sampler = createSampler({ rows: rows.length, shuffle, seed, state: { epoch, position: start } });
        const found: (Row | undefined)[] = [];
        for (const index of sampler.take(Math.min(size, rows.length - start))) found.push(await rows.at(index));
        const length = (row: Row | undefined): number => (row === undefined ? 0 : lengthOf(row));
        group = { epoch, start, rows: found.sort((one, other) => length(other) - length(one)) };
      }
      return group.rows[position++ - start];
    },
    get state() {
      return { epoch, position };
    },
  };
}

export interface RowOrder {
  /** Draw rows of like length together: less padding where rows are not packed. */
  readonly groupByLength?: boolean | undefined;
}

/** Rows as `train` takes them, of a file as of rows in memory: the same for the same rows and seed. */
export function trainingRowBatches(
  rows: TrainingRows,
  options: TrainingBatchOptions & RowOrder,
): RowBatches<TokenBatch[]> {
  const { batchSize, gradientAccumulation = 1, shuffle, seed, state, groupByLength = false } = options;
  return rowBatches<EncodedRow, TokenBatch[]>(rows, {
    batchSize: batchSize * gradientAccumulation,
    shuffle,
    seed,
    state,
    lengthOf: groupByLength ? ({ ids }) => ids.length : undefined,
    layout: (step) => layOutStep(step, options),
  });
}

/**
 * Micro-batches of which one is as large as any of the first `steps` has: compile them first, and the memory that all
 * shapes share is made once. They are those of the step that holds the largest; of a run that is too long to be looked
 * through, and of rows in a file, the longest rows together where they are larger than those of its beginning.
 */
export async function largestRowBatches(
  rows: TrainingRows,
  options: TrainingBatchOptions & RowOrder & { readonly steps: number },
): Promise<TokenBatch[]> {
  const { batchSize, gradientAccumulation = 1, steps } = options;
  let largest: TokenBatch[] = [];
  if (rows.meanLength !== undefined) {
    const all = trainingRowBatches(rows, options);
    const ofStep = Math.max(1, rows.meanLength * batchSize * gradientAccumulation);
    const seen = Math.min(steps, farthest.steps, Math.ceil(farthest.tokens / ofStep));
    for (let step = 0; step < seen; step++) {
      const microBatches = (await all.next()).value;
      if (sizeOf(microBatches) > sizeOf(largest)) largest = microBatches;
    }
    if (seen === steps) return largest;
  }
  const longest = await rows.longest(batchSize);
  // Fewer than a batch has are drawn several times.
  const filled = Array.from({ length: batchSize }, (_, at) => longest[at % longest.length]);
  const bound = layOutStep(
    filled.flatMap((row) => row ?? []),
    options,
  );
  return sizeOf(bound) > sizeOf(largest) ? bound : largest;
}

/** Every row once, packed as `evaluationBatches` packs them, some hundreds at a time. */
export function evaluationRowBatches(rows: TrainingRows): AsyncIterable<TokenBatch> {
  return {
    async *[Symbol.asyncIterator]() {
      for (let from = 0; from < rows.length; from += rowsAtOnce) {
        const part: EncodedRow[] = [];
        for (let index = from; index < Math.min(rows.length, from + rowsAtOnce); index++) {
          const row = await rows.at(index);
          if (row !== undefined) part.push(row);
        }
        if (part.length === 0) continue;
        const length = evaluationLength(part);
        yield* packBatches(part, { maxTokens: length, bucket: () => length });
      }
    },
  };
}

const rowsAtOnce = 512;

function nothingToLearn(rows: number): LowrankError {
  return new LowrankError({
    code: 'data.noLabels',
    what: `${rows} rows`,
    expected: 'rows with at least one token to learn',
    got: 'none',
    remedy: 'Give the rows a completion, or raise the maximum length.',
  });
}
