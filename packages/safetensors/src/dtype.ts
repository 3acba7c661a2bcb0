/** The element types of the safetensors format that Lowrank reads and writes, by the format's own names. */
export type SafetensorsDtype =
  | 'F64'
  | 'F32'
  | 'F16'
  | 'BF16'
  | 'I64'
  | 'I32'
  | 'I16'
  | 'I8'
  | 'U64'
  | 'U32'
  | 'U16'
  | 'U8'
  | 'BOOL'
  | 'F8_E4M3'
  | 'F8_E5M2';

/**
 * Bytes per element, listed from the last to the first variant of the reference library's `Dtype` enum
 * (safetensors/src/tensor.rs): its writer sorts tensors by that enum descending, so the order of these keys is the
 * order in a file.
 */
const bytesByDtype = {
  U64: 8,
  I64: 8,
  F64: 8,
  F32: 4,
  U32: 4,
  I32: 4,
  BF16: 2,
  F16: 2,
  U16: 2,
  I16: 2,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const satisfies Record<SafetensorsDtype, number>;

/** All dtypes, in the order in which a writer lays tensors out. */
export const safetensorsDtypes = Object.keys(bytesByDtype) as readonly SafetensorsDtype[];

const rankByDtype = new Map<SafetensorsDtype, number>(safetensorsDtypes.map((dtype, index) => [dtype, index]));

/** Bytes of one element: 1, 2, 4 or 8. */
export function dtypeBytes(dtype: SafetensorsDtype): number {
  return bytesByDtype[dtype];
}

/** Where tensors of this dtype stand in a file: smaller comes first. */
export function dtypeRank(dtype: SafetensorsDtype): number {
  return rankByDtype.get(dtype) ?? safetensorsDtypes.length;
}

/** Whether a value is a dtype that safetensors files name, such as `BF16`. */
export function isSafetensorsDtype(value: unknown): value is SafetensorsDtype {
  return typeof value === 'string' && Object.hasOwn(bytesByDtype, value);
}
