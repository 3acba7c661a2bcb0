import type { Tensor } from '@lowrank/tensor';
import { toFloat32 } from '@lowrank/tensor';
import { bytesPerElement, hostArray, sourceOf } from '@lowrank/tensor/op';

/** Rows of a table [V, width] in f32, each read by itself from wherever it lies. */
export async function tableRows(table: Tensor, ids: readonly number[]): Promise<Float32Array> {
  const width = table.shape[1] ?? 0;
  const bytes = width * bytesPerElement(table.dtype);
  const rows = new Float32Array(ids.length * width);
  for (const [at, id] of ids.entries())
    rows.set(toFloat32(hostArray(table.dtype, await sourceOf(table).read(id * bytes, bytes)), table.dtype), at * width);
  return rows;
}
