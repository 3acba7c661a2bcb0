import type { Pixels, RecordRow } from '@lowrank/data';
import { decodeImage } from '@lowrank/data';
import { LowrankError, shown } from '@lowrank/errors';
import { folderOf, joinPath } from '@lowrank/files';
import type { HostTensor } from '@lowrank/tensor';
import { badRow, has, whereOf } from './rowKeys.js';
import type { ImageInput, Task, TaskContext, TaskDocument } from './task.js';
import type { ClassifiedDocument, ClassifiedRow } from './textClassification.js';
import { labelOf, targetOf, textClassification } from './textClassification.js';

/** An image of a row: a file's path, its bytes, or its pixels. */
type GivenImage = string | Uint8Array | Blob | Pixels;

interface ImageRow extends ClassifiedRow {
  readonly image: GivenImage;
  /** The folder that its path begins at. */
  readonly folder: string;
  readonly source?: ImageSource;
}

/** An image as the model's processor leaves it, all of one size. */
interface ImageSource extends Pick<Pixels, 'width' | 'height'> {
  prepared(): Promise<Pixels>;
}

interface ImageDocument extends ClassifiedDocument {
  readonly source?: ImageSource;
  readonly prepared?: Pixels;
}

/**
 * A label for an image: the same losses, labels and scores as for texts. As many images as may be held are read and
 * prepared before the first step, and stay in memory as bytes; others are read for each batch that they are in.
 */
export const imageClassification: Task<ImageRow, ImageDocument> = {
  name: 'image-classification',
  title: 'classifying images',
  kind: 'image',
  rows: '{"image", "label"}, the image as a path beside the file; or a folder with a folder of images for each class',
  headline: 'accuracy',
  matches: (values) => has(values, 'image', 'label') || has(values, 'image', 'labels'),

  read(record, options) {
    const image = imageIn(record);
    const key = typeof image === 'string' ? image : whereOf(record);
    return {
      line: record.line,
      where: whereOf(record),
      key,
      texts: ['', undefined],
      ...labelOf(record, options),
      image,
      folder: folderIn(record),
    };
  },

  labels: (rows, known, asked) => textClassification.labels(rows, known, asked),

  async open(rows, context) {
    const { processor } = imagesOf(context);
    let left = context.heldBytes ?? 0;
    let size: Pick<Pixels, 'width' | 'height'> | undefined;
    const opened: ImageRow[] = [];
    for (const row of rows) {
      const prepare = async (): Promise<Pixels> => {
        const pixels = processor.prepare(await pixelsOf(row));
        if (size !== undefined) checkSize(pixels, size, row);
        return pixels;
      };
      // The first one tells the size of all.
      const first = size === undefined || left > 0 ? await prepare() : undefined;
      left -= first?.data.length ?? 0;
      const held = left < 0 ? undefined : first;
      size ??= first && { width: first.width, height: first.height };
      const { width = 0, height = 0 } = size ?? {};
      const prepared = held === undefined ? prepare : () => Promise.resolve(held);
      opened.push({ ...row, source: { width, height, prepared } });
    }
    return opened;
  },

  encode(row, context) {
    const { source } = row;
    if (source === undefined) throw new TypeError('an image that is not opened');
    const positions = imagesOf(context).positionsOf(source);
    return [[{ ...positionsAlone(positions), target: targetOf(row, context.labels), source }]];
  },

  async fetch(document) {
    return { ...document, prepared: await document.source?.prepared() };
  },

  outline(_, shape) {
    const { maxPositions, channels, imageSize } = shape as typeof shape & ImageSizes;
    const [height, width] = imageSize;
    const prepared = { width, height, channels, data: new Uint8Array(width * height * channels) };
    return [{ ...positionsAlone(maxPositions), target: 0, prepared }];
  },

  targets(layout) {
    return { ...textClassification.targets(layout), pixels: pixelsIn(layout) };
  },

  weight: (documents) => documents.length,
  loss: (...given) => textClassification.loss(...given),
  outputs: (model, batch) => model.logits(batch),
  predict: (row, outputs, context) => textClassification.predict(row, outputs, context),
  score: (rows, predictions, context) => textClassification.score(rows, predictions, context),
};

/** Of the shape of a model that reads images. */
interface ImageSizes {
  readonly channels: number;
  readonly imageSize: readonly [height: number, width: number];
}

function imageIn(record: RecordRow): GivenImage {
  const { values } = record;
  // What is asked on the command line is a path.
  const given = values['image'] ?? values['file_name'] ?? values['text'];
  if (typeof given === 'string' && given !== '') return given;
  if (given instanceof Uint8Array || (typeof Blob !== 'undefined' && given instanceof Blob) || isPixels(given))
    return given;
  // As `datasets` has images in Parquet.
  const { bytes, path } = (typeof given === 'object' && given !== null ? given : {}) as Record<string, unknown>;
  if (bytes instanceof Uint8Array) return bytes;
  if (typeof path === 'string') return path;
  return badRow(record, 'image', 'a path beside the file, or the bytes of an image', given);
}

function isPixels(value: unknown): value is Pixels {
  if (typeof value !== 'object' || value === null) return false;
  const { width, height, channels, data } = value as Partial<Pixels>;
  return data instanceof Uint8Array && data.length === (width ?? 0) * (height ?? 0) * (channels ?? NaN);
}

function folderIn({ name }: RecordRow): string {
  return name.endsWith('/') ? name.slice(0, -1) : folderOf(name);
}

async function pixelsOf({ image, folder, where }: ImageRow): Promise<Pixels> {
  if (isPixels(image)) return image;
  if (image instanceof Uint8Array) return decodeImage(image, `the image of ${where}`);
  if (typeof image !== 'string') return decodeImage(new Uint8Array(await image.arrayBuffer()), `the image of ${where}`);
  const isAbsolute = image.startsWith('/') || /^[A-Za-z]:[\\/]/.test(image);
  const path = isAbsolute || folder === '' ? image : joinPath(folder, image);
  const { readFile } = await import('node:fs/promises');
  const bytes = await readFile(path).catch((error: unknown) => {
    throw new LowrankError({
      code: 'images.missing',
      what: path,
      expected: 'an image',
      got: error instanceof Error ? error.message : shown(error),
      remedy: 'Paths of images begin at the folder of the file that names them.',
      cause: error,
    });
  });
  return decodeImage(bytes, path);
}

/** A batch is one tensor. */
function checkSize(
  own: Pick<Pixels, 'width' | 'height'>,
  first: Pick<Pixels, 'width' | 'height'>,
  { where }: ImageRow,
): void {
  if (own.width === first.width && own.height === first.height) return;
  throw new LowrankError({
    code: 'images.size',
    what: `the image of ${where}`,
    expected: `${first.width} × ${first.height}, as the first is after preprocessor_config.json`,
    got: `${own.width} × ${own.height}`,
    remedy: 'Give preprocessor_config.json a height and a width, or a crop.',
  });
}

function imagesOf({ images }: Pick<TaskContext, 'images'>): ImageInput {
  if (images === undefined) throw new TypeError('a model without a way to prepare images');
  return images;
}

/** What stands for an image in a layout of tokens. */
function positionsAlone(count: number): TaskDocument {
  const zeros = Array.from({ length: count }, () => 0);
  return { ids: zeros, types: zeros, fullLength: count };
}

/** f32 [slots, C, H, W]; slots that hold no image are 0. */
function pixelsIn(layout: Parameters<(typeof imageClassification)['targets']>[0]): HostTensor {
  const { placed, slots, images } = layout;
  const { width = 0, height = 0, channels = 0 } = placed[0]?.document.prepared ?? {};
  const size = channels * height * width;
  const data = new Float32Array(slots * size);
  // A plan has sizes alone.
  if (images !== undefined)
    for (const [slot, { document }] of placed.entries()) {
      if (document.prepared === undefined) throw new TypeError('an image that was not fetched');
      data.set(images.processor.numbers(document.prepared), slot * size);
    }
  return { data, shape: [slots, channels, height, width] };
}
