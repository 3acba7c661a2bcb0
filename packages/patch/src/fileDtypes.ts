import type { MergeDtype } from '@lowrank/lora';

/** Floating-point dtypes of files, and what tensors call them. */
const dtypes = { F32: 'f32', F16: 'f16', BF16: 'bf16' } as const;

type FloatDtype = (typeof dtypes)[MergeDtype];

export function isMergeDtype(dtype: string): dtype is MergeDtype {
  return Object.hasOwn(dtypes, dtype);
}

/** The dtype of a tensor in a file, if it is one of floating-point numbers. */
export function dtypeOfFile(dtype: string): FloatDtype | undefined {
  return isMergeDtype(dtype) ? dtypes[dtype] : undefined;
}

/** The reverse. */
export function fileDtypeOf(dtype: string): MergeDtype | undefined {
  return (Object.keys(dtypes) as MergeDtype[]).find((name) => dtypes[name] === dtype);
}

/** An array's bytes as a file holds them, in its own memory. */
export function asBytes({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
