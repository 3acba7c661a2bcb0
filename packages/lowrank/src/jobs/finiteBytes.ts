import { LowrankError } from '@lowrank/errors';
import type { TensorInfo } from '@lowrank/safetensors';
import { firstNotFinite, hostArray } from '@lowrank/tensor/op';

const dtypes = { F32: 'f32', F16: 'f16', BF16: 'bf16' } as const;

/**
 * A tensor's bytes, or a part of them that begins at byte `start`, where all its numbers are finite: what is broken is
 * never written on.
 *
 * @throws LowrankError `cli.notFinite`
 */
export function finiteBytes(
  bytes: Uint8Array,
  info: Pick<TensorInfo, 'name' | 'dtype' | 'file'> | undefined,
  start = 0,
): Uint8Array {
  if (info === undefined || !(info.dtype in dtypes)) return bytes;
  const dtype = dtypes[info.dtype as keyof typeof dtypes];
  const { name, file } = info;
  const width = dtype === 'f32' ? 4 : 2;
  // Typed arrays begin at multiples of their width.
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % width === 0 ? bytes : new Uint8Array(bytes);
  const at = firstNotFinite(hostArray(dtype, buffer as ArrayBuffer, byteOffset, byteLength / width), dtype);
  if (at === undefined) return bytes;
  throw new LowrankError({
    code: 'cli.notFinite',
    what: `${name} in ${file}`,
    expected: 'finite numbers',
    got: `NaN or infinity at element ${start / width + at}`,
    remedy: 'The weights are damaged, or their training diverged: take another copy or an earlier checkpoint.',
  });
}
