import { LowrankError } from '@lowrank/errors';
import type { Pixels } from './numeric/resample.js';

/**
 * The pixels of an image by the browser's decoder: all formats that it shows. It converts colour profiles to sRGB where
 * it does not know how to leave that, and its JPEG may differ from PIL's by a level or two.
 *
 * @throws LowrankError `images.decode`
 */
export async function decodeImage(bytes: Uint8Array, name: string): Promise<Pixels> {
  const blob = new Blob([bytes.slice()]);
  const options: ImageBitmapOptions = { colorSpaceConversion: 'none', premultiplyAlpha: 'none' };
  const bitmap = await createImageBitmap(blob, options).catch((error: unknown) => {
    throw new LowrankError({
      code: 'images.decode',
      what: name,
      expected: 'an image that this browser can decode',
      got: error instanceof Error ? error.message : String(error),
      cause: error,
    });
  });
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  if (context === null)
    throw new LowrankError({
      code: 'images.decode',
      what: name,
      expected: 'a 2D canvas to decode it',
      got: 'none in this browser',
    });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  return { width, height, channels: 4, data: new Uint8Array(data.buffer) };
}
