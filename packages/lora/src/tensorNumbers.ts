import { LowrankError } from '@lowrank/errors';
import type { TensorInfo } from '@lowrank/safetensors';
import { toFloat32 } from '@lowrank/tensor';

/**
 * A stored tensor's bytes as numbers in f32, in memory of their own.
 *
 * @throws LowrankError `lora.dtype`
 */
export function tensorNumbers(bytes: Uint8Array, { name, dtype }: Pick<TensorInfo, 'name' | 'dtype'>): Float32Array {
  // `slice` of Node's Buffer makes no copy; this always does.
  const { buffer } = new Uint8Array(bytes);
  if (dtype === 'F64') return Float32Array.from(new Float64Array(buffer));
  if (dtype === 'F32') return new Float32Array(buffer);
  if (dtype === 'F16' || dtype === 'BF16') return toFloat32(new Uint16Array(buffer), dtype === 'F16' ? 'f16' : 'bf16');
  throw new LowrankError({ code: 'lora.dtype', what: name, expected: 'F64, F32, F16 or BF16', got: dtype });
}
