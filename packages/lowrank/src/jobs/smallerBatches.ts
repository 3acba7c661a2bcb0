import { isOutOfMemory, LowrankError } from '@lowrank/errors';
import { defaultBatch } from '../settings/runSettings.js';
import type { MicroBatches } from '../runs/runRecord.js';

/** How a step's rows are laid out: options of a run. */
export interface BatchLayout {
  readonly batchSize?: number | undefined;
  readonly gradientAccumulation?: number | undefined;
}

/**
 * The same rows of a step in smaller micro-batches: of half the rows, or of the next smaller size that divides them.
 * Undefined where one row is a micro-batch already.
 */
export function smallerBatches({
  batchSize = defaultBatch.batchSize,
  gradientAccumulation = defaultBatch.gradientAccumulation,
}: BatchLayout): Required<BatchLayout> | undefined {
  for (let factor = 2; factor <= batchSize; factor++)
    if (batchSize % factor === 0)
      return { batchSize: batchSize / factor, gradientAccumulation: gradientAccumulation * factor };
  return undefined;
}

/** The layout that a run has come to, as options. */
export function layoutOf(batches: MicroBatches | undefined): BatchLayout {
  return batches === undefined
    ? {}
    : { batchSize: batches.batch_size, gradientAccumulation: batches.gradient_accumulation };
}

/** Whether smaller micro-batches may help. */
export function mayShrink(
  error: unknown,
  { autoBatch = false }: { readonly autoBatch?: boolean | undefined },
): boolean {
  return autoBatch && isOutOfMemory(error);
}

/** @throws LowrankError `cli.conflict` for a loss whose value depends on the micro-batches */
export function checkAutoBatch({
  autoBatch = false,
  loss,
}: {
  readonly autoBatch?: boolean | undefined;
  readonly loss?: string | undefined;
}): void {
  if (!autoBatch || loss !== 'kto') return;
  throw new LowrankError({
    code: 'cli.conflict',
    what: (names) => `${names('autoBatch')} with ${names('loss', 'kto')}`,
    expected: 'a loss that is the same over smaller micro-batches',
    got: 'one that compares the rows of a micro-batch with each other',
    remedy: (names) => `Choose ${names('batchSize')} yourself.`,
    setting: 'autoBatch',
  });
}
