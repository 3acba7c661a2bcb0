import { LowrankError } from '@lowrank/errors';
import type { ModelNames } from './architecture.js';

/** llama.cpp's name for a module: model.layers.3.self_attn.q_proj → blk.3.attn_q. @throws LowrankError `gguf.name` */
export function ggufName(path: string, { known: { tensors } }: ModelNames): string {
  const [, layer = ''] = /\.(\d+)\./.exec(path) ?? [];
  const key = path.replace(/\.\d+\./, '.{i}.');
  const name = Object.hasOwn(tensors, key) ? tensors[key] : undefined;
  if (name !== undefined) return name.replace('{i}', layer);
  throw new LowrankError({
    code: 'gguf.name',
    what: path,
    expected: 'a module that llama.cpp has a name for in this family',
    got: 'one without such a name',
    remedy: "Merge the adapter (`lowrank merge`), and convert the folder with llama.cpp's convert_hf_to_gguf.py.",
  });
}

/** The heads whose rows have to be put in another order, for a query or key projection. */
export function permutedHeads(path: string, { permuted }: ModelNames): number | undefined {
  return path.endsWith('.q_proj') ? permuted?.heads : path.endsWith('.k_proj') ? permuted?.keyHeads : undefined;
}

/**
 * transformers rotates the two halves of a head against each other, llama.cpp neighbours: row (half, i) of a head
 * becomes row (i, half).
 *
 * @param rowBytes bytes of one row
 */
export function interleaveHalves(bytes: Uint8Array, heads: number, rowBytes: number): Uint8Array {
  const headRows = bytes.length / rowBytes / heads;
  if (!Number.isInteger(headRows) || headRows % 2 !== 0)
    throw new LowrankError({
      code: 'gguf.shape',
      what: 'a query or key projection',
      expected: `an even number of rows for each of ${heads} heads`,
      got: `${bytes.length / rowBytes} rows`,
    });
  const result = new Uint8Array(bytes.length);
  for (let row = 0; row < heads * headRows; row++) {
    const inHead = row % headRows;
    const from = row - inHead + (inHead % 2) * (headRows / 2) + Math.floor(inHead / 2);
    result.set(bytes.subarray(from * rowBytes, (from + 1) * rowBytes), row * rowBytes);
  }
  return result;
}
