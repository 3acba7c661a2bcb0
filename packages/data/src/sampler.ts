import { LowrankError } from '@lowrank/errors';
import { shuffled } from './random.js';

/**
 * Where a sampler stands: `position` rows of epoch `epoch` have been taken. Plain numbers, to be saved in a checkpoint.
 */
export interface SamplerState {
  readonly epoch: number;
  readonly position: number;
}

/** Options of `createSampler`: which rows, in which order. */
export interface SamplerOptions {
  /** Rows in the data set. */
  readonly rows: number;
  /** False: file order, wrapping. True (the default): another order in each epoch, given by the seed. */
  readonly shuffle?: boolean;
  /** A whole number; the low 32 bits count. Default 0. */
  readonly seed?: number;
  /** Where to go on; the beginning by default. */
  readonly state?: SamplerState;
}

/** An endless sequence of row indices. */
export interface RowSampler {
  /** The next `count` indices; they may reach over the end of an epoch, so that every step has as many rows. */
  take(count: number): number[];
  /** Where it stands, after all that was taken. */
  readonly state: SamplerState;
}

/**
 * Goes through the rows epoch by epoch: each epoch is a permutation of all rows, drawn from the seed and the epoch's
 * number alone, so that a new sampler with a saved state continues exactly.
 *
 * @throws LowrankError `data.empty` (no rows), `data.seed`, `data.samplerState` (a state that is none, or of other
 * data)
 */
export function createSampler(options: SamplerOptions): RowSampler {
  const { rows, shuffle = true, seed = 0 } = options;
  let { epoch, position } = options.state ?? { epoch: 0, position: 0 };
  if (!(rows > 0))
    throw new LowrankError({
      code: 'data.empty',
      what: 'the data set',
      expected: 'at least one row',
      got: String(rows),
    });
  if (!Number.isSafeInteger(seed))
    throw new LowrankError({ code: 'data.seed', what: 'the seed', expected: 'a whole number', got: String(seed) });
  const valid =
    Number.isSafeInteger(epoch) && Number.isSafeInteger(position) && epoch >= 0 && position >= 0 && position <= rows;
  if (!valid) throw badState({ epoch, position }, rows);

  let order: { epoch: number; indices: Uint32Array } | undefined;
  function indexAt(at: SamplerState): number {
    if (!shuffle) return at.position;
    if (order?.epoch !== at.epoch) order = { epoch: at.epoch, indices: shuffled(rows, { seed, stream: at.epoch }) };
    return order.indices[at.position] ?? 0;
  }

  return {
    take: (count) =>
      Array.from({ length: count }, () => {
        if (position === rows) {
          position = 0;
          epoch++;
        }
        return indexAt({ epoch, position: position++ });
      }),
    get state() {
      return { epoch, position };
    },
  };
}

function badState(state: SamplerState, rows: number): LowrankError {
  return new LowrankError({
    code: 'data.samplerState',
    what: 'the saved position in the data',
    expected: `an epoch and a position of at most ${rows} rows`,
    got: `epoch ${state.epoch}, position ${state.position}`,
    remedy: 'The data changed since the state was saved: start again, or use the data of that run.',
  });
}
