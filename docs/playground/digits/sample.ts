import { filesAt } from '../engine/bundledModel';
import configUrl from './base/config.json?url';
import imagesUrl from './base/images.idx3?url';
import labelsUrl from './base/labels.idx1?url';
import weightsUrl from './base/model.safetensors?url';
import processorUrl from './base/preprocessor_config.json?url';
import { readIdx } from './idx';

/** A picture of 28 × 28 grey bytes, white on black, and what it shows. */
export interface Example {
  readonly pixels: Uint8Array;
  readonly label: string;
}

/** The digits that the base model has learned. */
export const known: readonly string[] = ['0', '1', '2', '3', '4'];

/** The files of the base model. */
export function baseFiles(): Promise<File[]> {
  return filesAt({
    'config.json': configUrl,
    'model.safetensors': weightsUrl,
    'preprocessor_config.json': processorUrl,
  });
}

/** Digits out of MNIST: those from 5 to 9 to learn from, and others of all ten to try, none of which is the same. */
export async function sampleDigits(): Promise<{ readonly learn: Example[]; readonly rest: Example[] }> {
  const files = await filesAt({ images: imagesUrl, labels: labelsUrl });
  const [imageFile, labelFile] = await Promise.all(files.map(unpacked));
  if (imageFile === undefined || labelFile === undefined) throw new TypeError('two files');
  const { images, labels } = readIdx(imageFile, labelFile);
  const all = images.map((pixels, at): Example => ({ pixels, label: String(labels[at]) }));
  return { learn: all.slice(0, 250), rest: all.slice(250) };
}

/** A server may have unpacked it already. */
async function unpacked(file: File): Promise<Uint8Array> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  return new Uint8Array(await new Response(file.stream().pipeThrough(new DecompressionStream('gzip'))).arrayBuffer());
}
