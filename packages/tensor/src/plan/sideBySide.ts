import type { BackendSpec } from '../backend.js';
import { Value } from './program.js';

/** A storage that holds one result and no more, which may become a piece of a larger one. */
export function isFree({ root, whole }: Value): boolean {
  return whole && root.leaf === undefined;
}

/** Gives storages that each hold one result ({@link isFree}) their places in a common one. */
export function laySideBySide(values: readonly Value[], { alignment }: Pick<BackendSpec, 'alignment'>): void {
  let end = 0;
  const offsets = values.map(({ bytes }) => {
    const start = Math.ceil(end / alignment) * alignment;
    end = start + bytes;
    return start;
  });
  const slab = new Value({ shape: [Math.ceil(end / 4)], dtype: 'f32' });
  values.forEach((value, at) => {
    value.base = slab;
    value.offset = offsets[at] ?? 0;
  });
}
