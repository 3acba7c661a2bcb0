/** Images of one size with a label each, as MNIST's two IDX files have them. */
export interface LabelledImages {
  readonly width: number;
  readonly height: number;
  /** Grey bytes of each image, row by row; 0 is the ground. */
  readonly images: readonly Uint8Array[];
  readonly labels: readonly number[];
}

/**
 * Reads IDX: big-endian 0x00000803, count, height, width and bytes; 0x00000801, count and labels. Source: MNIST's page.
 *
 * @throws RangeError for anything else, or for files of different lengths
 */
export function readIdx(imageFile: Uint8Array, labelFile: Uint8Array): LabelledImages {
  const [kind, count = 0, height = 0, width = 0] = header(imageFile, 4);
  const [labelKind, labelCount] = header(labelFile, 2);
  const size = width * height;
  if (
    kind !== 0x803 ||
    labelKind !== 0x801 ||
    count !== labelCount ||
    imageFile.length !== 16 + count * size ||
    labelFile.length !== 8 + count
  )
    throw new RangeError('no IDX files of images and their labels');
  return {
    width,
    height,
    images: Array.from({ length: count }, (_, at) => imageFile.slice(16 + at * size, 16 + (at + 1) * size)),
    labels: [...labelFile.subarray(8)],
  };
}

function header(file: Uint8Array, words: number): number[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  return Array.from({ length: words }, (_, at) => (file.length < 4 * words ? -1 : view.getUint32(4 * at)));
}
