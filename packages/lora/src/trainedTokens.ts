import { LowrankError } from '@lowrank/errors';

/**
 * Token ids whose rows are trained: of the input embedding, or of the modules whose paths end in these names (PEFT's
 * `trainable_token_indices`).
 */
export type TokenIndices = readonly number[] | Readonly<Record<string, readonly number[]>>;

/** Trained rows of an embedding or an output projection, on the host. */
export interface TrainedRows {
  /** [n, width], in the order of their ids. */
  readonly rows: Float32Array;
  readonly width: number;
}

/** @throws LowrankError `lora.config` */
export function checkTokenIndices(indices: TokenIndices | undefined): void {
  for (const [name, ids] of indices === undefined ? [] : tokenLists(indices)) {
    const what = `the LoRA setting trainable_token_indices${name === undefined ? '' : `[${name}]`}`;
    const odd = ids.find((id, at) => !Number.isInteger(id) || id < 0 || ids.indexOf(id) !== at);
    if (ids.length === 0 || odd !== undefined)
      throw new LowrankError({
        code: 'lora.config',
        what,
        expected: 'token ids from 0, each once',
        got: odd === undefined ? 'nothing' : String(odd),
      });
  }
}

/** The lists by name; without one, that of the input embedding. */
export function tokenLists(indices: TokenIndices): [name: string | undefined, ids: readonly number[]][] {
  return Array.isArray(indices)
    ? [[undefined, indices as readonly number[]]]
    : Object.entries(indices as Readonly<Record<string, readonly number[]>>);
}
