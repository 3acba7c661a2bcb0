import { LowrankError } from '@lowrank/errors';
import { fromNumbers, toFloat32 } from '@lowrank/tensor';

/** Bytes of F32, F16 or BF16 as F32 or F16, rounded once. @throws LowrankError `gguf.dtype`, `gguf.overflow` */
export function converted(
  bytes: Uint8Array,
  { name, from, to }: { readonly name: string; readonly from: string; readonly to: 'F32' | 'F16' },
): Uint8Array {
  if (from === to) return bytes;
  if (from !== 'F32' && from !== 'F16' && from !== 'BF16')
    throw new LowrankError({
      code: 'gguf.dtype',
      what: name,
      expected: 'F32, F16 or BF16',
      got: from,
      remedy: 'Merge quantized models into 16 bits first.',
    });
  // Copies in any case: views need alignment, and `slice` of Node's Buffer makes no copy.
  const { buffer } = new Uint8Array(bytes);
  const values =
    from === 'F32' ? new Float32Array(buffer) : toFloat32(new Uint16Array(buffer), from === 'F16' ? 'f16' : 'bf16');
  if (to === 'F32') return new Uint8Array(values.buffer);
  const half = fromNumbers(values, 'f16');
  const lost = half.findIndex((bits, at) => (bits & 0x7c00) === 0x7c00 && Number.isFinite(values[at]));
  if (lost >= 0)
    throw new LowrankError({
      code: 'gguf.overflow',
      what: `${name} at ${lost}`,
      expected: 'a number up to 65504, the largest of f16',
      got: String(values[lost]),
      remedy: 'Write f32 instead.',
    });
  return new Uint8Array(half.buffer);
}
