import { LowrankError } from '@lowrank/errors';
import { fromBf16, fromF16, toBf16, toF16 } from '@lowrank/tensor/op';
import type { LoraVariant } from '../variant.js';
import { plain } from '../variants/plain.js';

/** A weight as a file holds it. */
export type MergeDtype = 'F32' | 'F16' | 'BF16';

/** A layer's update ΔW = scaling·B·A, and what its variant adds. */
export interface LowRankUpdate {
  /** [r, in] */
  readonly a: Float32Array;
  /** [out, r] */
  readonly b: Float32Array;
  readonly rank: number;
  readonly scaling: number;
  /** W is [in, out], as Conv1D and embeddings have it: ΔW is transposed before it is added. */
  readonly transposed?: boolean;
  /** How W and ΔW combine; their sum unless given. */
  readonly variant?: LoraVariant | undefined;
  /** `[out]`: what the variant has trained besides A and B. */
  readonly vector?: Float32Array | undefined;
  /** PEFT narrows ΔW to the dtype of W before it adds it, for embeddings alone. */
  readonly narrowDelta?: boolean;
  /** `[out]`: receives what the variant's `mergeRow` returns, which `unmergeWeight` needs. */
  readonly kept?: Float32Array | undefined;
  /** Of W, for errors. */
  readonly name?: string | undefined;
}

/**
 * W + s·B·A, or what another variant makes of them, in W's own dtype, element by element as PEFT's merge_and_unload
 * over PyTorch does it: B·A accumulates in f32 with fused multiply-adds, k ascending; the product with s and the sum
 * with W are rounded to f32; then one rounding to the dtype of W. (PEFT keeps the adapter in f32 over a 16-bit base.)
 *
 * @param weight the bytes of W [out, in] (or [in, out], where `transposed`), little-endian; not changed
 * @throws LowrankError `lora.mergeNotFinite` when the result holds NaN or infinity
 */
export function mergeWeight(weight: Uint8Array, dtype: MergeDtype, update: LowRankUpdate): Uint8Array {
  const { variant = plain, vector, kept } = update;
  return changed(weight, dtype, update, (row, delta, out) => {
    const known = variant.mergeRow(row, delta, vector?.[out] ?? NaN);
    if (kept !== undefined) kept[out] = known;
  });
}

/**
 * W as it was before `mergeWeight`, up to rounding. In 16 bits what the merged weight's rounding took is lost: half a
 * unit in the last place of W + ΔW, and another of W.
 *
 * @param update as it was given to `mergeWeight`, with what it filled into `kept`
 * @throws LowrankError `lora.mergeNotFinite`; `lora.unmerge` for a variant that cannot be taken out again
 */
export function unmergeWeight(weight: Uint8Array, dtype: MergeDtype, update: LowRankUpdate): Uint8Array {
  const { variant = plain, vector, kept } = update;
  if (variant.unmergeRow === undefined)
    throw new LowrankError({
      code: 'lora.unmerge',
      what: 'unmerging a weight',
      expected: 'a variant of LoRA with unmergeRow',
      got: 'one without',
    });
  return changed(weight, dtype, update, (row, delta, out) =>
    variant.unmergeRow?.(row, delta, { vector: vector?.[out] ?? NaN, kept: kept?.[out] ?? 1 }),
  );
}

/** Every row of W changed, given that of ΔW. */
function changed(
  weight: Uint8Array,
  dtype: MergeDtype,
  update: LowRankUpdate,
  change: (row: Float32Array, delta: Float32Array, out: number) => void,
): Uint8Array {
  const { a, b, rank, name = 'the merged weight', transposed = false, narrowDelta = false } = update;
  const inFeatures = a.length / rank;
  const outFeatures = b.length / rank;
  // `slice` of Node's Buffer makes no copy; this always does.
  const bytes = new Uint8Array(weight);
  const { read, write, narrowed } = accessor(bytes, dtype);
  const scaling = Math.fround(update.scaling);
  const row = new Float32Array(inFeatures);
  const merged = new Float32Array(inFeatures);
  for (let out = 0; out < outFeatures; out++) {
    row.fill(0);
    for (let k = 0; k < rank; k++) {
      const factor = b[out * rank + k];
      // The product of two f32 is exact in double precision, so this rounds once, as a fused multiply-add does.
      for (let i = 0; i < inFeatures; i++) row[i] += factor * a[k * inFeatures + i];
    }
    const place = (i: number): number => (transposed ? i * outFeatures + out : out * inFeatures + i);
    for (let i = 0; i < inFeatures; i++) {
      const delta = Math.fround(row[i] * scaling);
      row[i] = narrowDelta ? narrowed(delta) : delta;
      merged[i] = read(place(i));
    }
    change(merged, row, out);
    for (let i = 0; i < inFeatures; i++) {
      const at = place(i);
      write(at, merged[i]);
      if (Number.isFinite(read(at))) continue;
      throw new LowrankError({
        code: 'lora.mergeNotFinite',
        what: `${name} at [${transposed ? `${i}, ${out}` : `${out}, ${i}`}]`,
        expected: `a finite number in ${dtype}`,
        got: String(merged[i]),
        remedy: 'The adapter is damaged, or its values are too large for this dtype.',
      });
    }
  }
  return bytes;
}

interface Accessor {
  readonly read: (index: number) => number;
  readonly write: (index: number, value: number) => void;
  /** A value as the dtype holds it. */
  readonly narrowed: (value: number) => number;
}

function accessor(bytes: Uint8Array, dtype: MergeDtype): Accessor {
  if (dtype === 'F32') {
    const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    return {
      read: (at) => values[at],
      write: (at, value) => void (values[at] = value),
      narrowed: (value) => value,
    };
  }
  const [widen, narrow] = dtype === 'BF16' ? [fromBf16, toBf16] : [fromF16, toF16];
  const values = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
  return {
    read: (at) => widen(values[at]),
    write: (at, value) => void (values[at] = narrow(value)),
    narrowed: (value) => widen(narrow(value)),
  };
}
