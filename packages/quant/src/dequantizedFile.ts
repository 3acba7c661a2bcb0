import type { SafetensorsFile, TensorInfo } from '@lowrank/safetensors';
import { sizeOf } from '@lowrank/tensor/op';
import type { FloatDtype } from './numeric/floats.js';
import { dequantize } from './dequantize.js';
import type { StoredQuantized } from './readQuantized.js';
import { findQuantized, readQuantized } from './storedQuantized.js';

const names = { f32: 'F32', f16: 'F16', bf16: 'BF16' } as const;

/** What bitsandbytes gives back: a 4-bit weight in the dtype that it had, an 8-bit one in f16. */
function dtypeOf(stored: StoredQuantized): FloatDtype {
  return stored.type === 'int8' ? 'f16' : stored.dtype;
}

/**
 * A checkpoint as if nothing were quantized in it: each quantized weight is a dense tensor under its name, dequantized
 * when it is read, and what decodes it is gone. A file without quantized weights is given back as it is.
 *
 * @throws LowrankError what findQuantized and readQuantized throw
 */
export async function dequantizedFile(file: SafetensorsFile): Promise<SafetensorsFile> {
  const found = await findQuantized(file);
  if (found.size === 0) return file;
  const hidden = new Set([...found.values()].flatMap(({ tensors }) => tensors));
  const tensors = new Map<string, TensorInfo>();
  for (const [name, info] of file.tensors) {
    const stored = found.get(name);
    if (stored !== undefined) {
      const dtype = dtypeOf(stored);
      tensors.set(name, {
        ...info,
        dtype: names[dtype],
        shape: stored.shape,
        byteLength: sizeOf(stored.shape) * (dtype === 'f32' ? 4 : 2),
      });
    } else if (!hidden.has(name)) tensors.set(name, info);
  }
  const read = async (name: string): Promise<Uint8Array> => {
    const stored = found.get(name);
    if (stored === undefined) return file.read(name);
    const { buffer, byteOffset, byteLength } = dequantize(await readQuantized(file, stored), dtypeOf(stored));
    return new Uint8Array(buffer, byteOffset, byteLength);
  };
  return {
    name: file.name,
    metadata: file.metadata,
    tensors,
    read,
    readRange: async (name, start, end) =>
      found.has(name) ? (await read(name)).subarray(start, end) : file.readRange(name, start, end),
  };
}
