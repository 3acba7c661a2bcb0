/** What Lowrank reads of ggml's types of tensors, by the format's numbers (ggml/include/ggml.h). */
export const tensorTypes = {
  F32: { id: 0, block: 1, bytes: 4 },
  F16: { id: 1, block: 1, bytes: 2 },
  Q4_0: { id: 2, block: 32, bytes: 18 },
  Q4_1: { id: 3, block: 32, bytes: 20 },
  Q5_0: { id: 6, block: 32, bytes: 22 },
  Q5_1: { id: 7, block: 32, bytes: 24 },
  Q8_0: { id: 8, block: 32, bytes: 34 },
  Q4_K: { id: 12, block: 256, bytes: 144 },
  Q5_K: { id: 13, block: 256, bytes: 176 },
  Q6_K: { id: 14, block: 256, bytes: 210 },
  BF16: { id: 30, block: 1, bytes: 2 },
} as const satisfies Record<string, TensorType>;

interface TensorType {
  readonly id: number;
  /** Elements of a block, all of one row. */
  readonly block: number;
  /** Bytes of a block. */
  readonly bytes: number;
}

export type TensorTypeName = keyof typeof tensorTypes;

/** Types of numbers. */
export type PlainType = 'F32' | 'F16' | 'BF16';

/** Types of codes. */
export type BlockType = Exclude<TensorTypeName, PlainType>;

export const isPlain = (type: TensorTypeName): type is PlainType => type === 'F32' || type === 'F16' || type === 'BF16';

const byId: ReadonlyMap<number, TensorTypeName> = new Map(
  Object.entries(tensorTypes).map(([name, { id }]) => [id, name as TensorTypeName]),
);

/** Names of types that are not read: what errors call them. */
const others: Readonly<Record<number, string>> = {
  9: 'Q8_1',
  10: 'Q2_K',
  11: 'Q3_K',
  15: 'Q8_K',
  16: 'IQ2_XXS',
  17: 'IQ2_XS',
  18: 'IQ3_XXS',
  19: 'IQ1_S',
  20: 'IQ4_NL',
  21: 'IQ3_S',
  22: 'IQ2_S',
  23: 'IQ4_XS',
  24: 'I8',
  25: 'I16',
  26: 'I32',
  27: 'I64',
  28: 'F64',
  29: 'IQ1_M',
  34: 'TQ1_0',
  35: 'TQ2_0',
  39: 'MXFP4',
};

export const typeOfId = (id: number): TensorTypeName | undefined => byId.get(id);

export const nameOfId = (id: number): string => byId.get(id) ?? others[id] ?? `type ${id}`;

/** Bytes of so many elements, which are whole blocks. */
export function bytesOf(type: TensorTypeName, elements: number): number {
  const { block, bytes } = tensorTypes[type];
  return (elements / block) * bytes;
}
