import type { HostNumber } from './backend.js';

/** Writes numbers one after another, 4 bytes each, as a plan's scalars buffer holds them. */
export function writeNumbers(numbers: readonly HostNumber[], target: ArrayBuffer): void {
  const view = new DataView(target);
  numbers.forEach(({ value, dtype }, at) => {
    if (dtype === 'f32') view.setFloat32(4 * at, value, true);
    else if (dtype === 'i32') view.setInt32(4 * at, value, true);
    else view.setUint32(4 * at, value, true);
  });
}
