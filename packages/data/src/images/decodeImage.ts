import { LowrankError } from '@lowrank/errors';
import type { Pixels } from './numeric/resample.js';
import { pixelsOfPng } from './numeric/png.js';

/**
 * The pixels of a PNG, JPEG or WebP file, as PIL has them: JPEG and WebP by libjpeg-turbo's and libwebp's code
 * (compiled to WebAssembly), whose bytes are PIL's. Each decoder is loaded when its first file comes.
 *
 * In browsers the browser's own decoder takes this one's place.
 *
 * @throws LowrankError `images.format` for another format, `images.decode` for a damaged file
 */
export async function decodeImage(bytes: Uint8Array, name: string): Promise<Pixels> {
  const decode = decoderOf(bytes);
  if (decode === undefined)
    throw new LowrankError({
      code: 'images.format',
      what: name,
      expected: 'a PNG, JPEG or WebP image',
      got: bytes.length === 0 ? 'an empty file' : 'another format',
      remedy: 'Convert it first.',
    });
  try {
    return await decode(bytes);
  } catch (error) {
    throw new LowrankError({
      code: 'images.decode',
      what: name,
      expected: 'an image that can be decoded',
      got: messageOf(error),
      remedy: 'It may be damaged, or a JPEG in CMYK: save it in RGB.',
      cause: error,
    });
  }
}

function messageOf(error: unknown): string {
  // Emscripten throws C++ exceptions as objects that say nothing.
  return error instanceof Error && error.message !== '' ? error.message : 'data that the decoder refuses';
}

function decoderOf(bytes: Uint8Array): ((bytes: Uint8Array) => Promise<Pixels>) | undefined {
  const starts = (at: number, ...values: readonly number[]): boolean =>
    values.every((value, place) => bytes[at + place] === value);
  if (starts(0, 0x89, 0x50, 0x4e, 0x47)) return png;
  if (starts(0, 0xff, 0xd8, 0xff)) return jpeg;
  return starts(0, 0x52, 0x49, 0x46, 0x46) && starts(8, 0x57, 0x45, 0x42, 0x50) ? webp : undefined;
}

async function png(bytes: Uint8Array): Promise<Pixels> {
  const { decode } = await import('fast-png');
  return pixelsOfPng(decode(bytes));
}

interface Rgba {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray;
}

type Decode = (bytes: ArrayBuffer) => Promise<Rgba>;

let jpegDecoder: Promise<Decode> | undefined;
let webpDecoder: Promise<Decode> | undefined;

async function jpeg(bytes: Uint8Array): Promise<Pixels> {
  jpegDecoder ??= import('@jsquash/jpeg/decode.js').then(async ({ default: decode, init }) => {
    const start = init as (module: WebAssembly.Module, options: { printErr(said: string): void }) => Promise<void>;
    await start(await moduleOf('@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm'), { printErr: refuseCut });
    return (data) => decode(data);
  });
  const { width, height, data } = await withImageData(async () => (await jpegDecoder)?.(copyOf(bytes)));
  return dropAlpha({ width, height, channels: 4, data: bytesOf(data) });
}

/** Of a file that is cut off libjpeg makes the rest grey, and says so; PIL refuses it. */
function refuseCut(said: string): void {
  if (!/premature end/i.test(said)) return;
  // What was called lies unfinished.
  jpegDecoder = undefined;
  throw new Error(said);
}

async function webp(bytes: Uint8Array): Promise<Pixels> {
  webpDecoder ??= import('@jsquash/webp/decode.js').then(async ({ default: decode, init }) => {
    await init(await moduleOf('@jsquash/webp/codec/dec/webp_dec.wasm'));
    return decode;
  });
  const { width, height, data } = await withImageData(async () => (await webpDecoder)?.(copyOf(bytes)));
  const pixels: Pixels = { width, height, channels: 4, data: bytesOf(data) };
  return hasAlpha(pixels) ? pixels : dropAlpha(pixels);
}

async function moduleOf(specifier: string): Promise<WebAssembly.Module> {
  const [{ createRequire }, { readFile }] = await Promise.all([import('node:module'), import('node:fs/promises')]);
  return WebAssembly.compile(await readFile(createRequire(import.meta.url).resolve(specifier)));
}

// A Buffer's own slice would be a view.
const copyOf = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer;
const bytesOf = (data: Uint8ClampedArray): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.length);

/** What the decoders make their answer of, which Node does not have. */
class PlainImageData implements Rgba {
  constructor(
    readonly data: Uint8ClampedArray,
    readonly width: number,
    readonly height: number,
  ) {}
}

async function withImageData(run: () => Promise<Rgba | undefined>): Promise<Rgba> {
  const globals = globalThis as { ImageData?: unknown };
  const isMissing = globals.ImageData === undefined;
  if (isMissing) globals.ImageData = PlainImageData;
  try {
    const found = await run();
    if (found === undefined) throw new TypeError('no decoder');
    return found;
  } finally {
    if (isMissing) delete globals.ImageData;
  }
}

function hasAlpha({ data }: Pixels): boolean {
  return data.some((value, at) => at % 4 === 3 && value !== 255);
}

function dropAlpha({ width, height, data }: Pixels): Pixels {
  const out = new Uint8Array(width * height * 3);
  for (let at = 0; at < width * height; at++) out.set(data.subarray(at * 4, at * 4 + 3), at * 3);
  return { width, height, channels: 3, data: out };
}
