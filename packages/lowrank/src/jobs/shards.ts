import type { SafetensorsDtype, TensorEntry } from '@lowrank/safetensors';
import { dtypeBytes } from '@lowrank/safetensors';

/** Tensors that stay in one file. */
export type Together = readonly TensorEntry[];

export interface Shard {
  readonly fileName: string;
  readonly entries: readonly TensorEntry[];
}

/** Bytes of a tensor. */
export function entryBytes({
  dtype,
  shape,
}: {
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
}): number {
  return shape.reduce((size, dim) => size * dim, dtypeBytes(dtype));
}

/**
 * Distributes tensors, in their order, over as few files as hold at most `largest` bytes of them each (more only where
 * one group has more), named as transformers names them.
 */
export function shardsOf(groups: readonly Together[], largest: number): Shard[] {
  const shards: TensorEntry[][] = [[]];
  let filled = 0;
  for (const group of groups) {
    const bytes = group.reduce((sum, entry) => sum + entryBytes(entry), 0);
    if (filled > 0 && filled + bytes > largest) {
      shards.push([]);
      filled = 0;
    }
    shards.at(-1)?.push(...group);
    filled += bytes;
  }
  const number = (at: number): string => String(at).padStart(5, '0');
  return shards.map((entries, at) => ({
    entries,
    fileName:
      shards.length === 1 ? 'model.safetensors' : `model-${number(at + 1)}-of-${number(shards.length)}.safetensors`,
  }));
}

/** `model.safetensors.index.json`; undefined where there is but one file. */
export function shardIndex(shards: readonly Shard[]): string | undefined {
  if (shards.length < 2) return undefined;
  const homes = shards.flatMap(({ entries, fileName }) =>
    entries.map(({ name }): [string, string] => [name, fileName]),
  );
  const bytes = shards.flatMap(({ entries }) => entries).reduce((sum, entry) => sum + entryBytes(entry), 0);
  const map = Object.fromEntries(homes.sort(([a], [b]) => (a < b ? -1 : 1)));
  return `${JSON.stringify({ metadata: { total_size: bytes }, weight_map: map }, undefined, 2)}\n`;
}
