/**
 * The length that a row of `length` tokens is padded to, so that few shapes have to be compiled: 16, 32, then multiples
 * of 64 up to 1024, then eight steps to each doubling (1152, 1280, … 2048, 2304, …). Above 1024 the padding is less
 * than 12.5% of the length, below less than 64 tokens.
 */
export function bucketLength(length: number): number {
  if (length <= 16) return 16;
  if (length <= 32) return 32;
  const step = length <= 1024 ? 64 : 2 ** (Math.ceil(Math.log2(length)) - 4);
  return Math.ceil(length / step) * step;
}
