import type { Pixels } from './resample.js';

/** A PNG as its decoder gives it: samples of 1 to 16 bits, below 8 packed into bytes row by row. */
export interface DecodedPng {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array | Uint8ClampedArray | Uint16Array;
  readonly depth: number;
  readonly channels: number;
  readonly palette?: readonly (readonly number[])[] | undefined;
  /** The colour that is transparent, of images without alpha. */
  readonly transparency?: Uint16Array | undefined;
}

/**
 * A PNG in bytes, as PIL opens and converts it: palettes become colours, a colour that stands for transparency becomes
 * alpha, of 16 bits the upper 8 count, and of 16-bit grey what PIL makes of it on the way to RGB.
 */
export function pixelsOfPng(png: DecodedPng): Pixels {
  const { width, height, depth, channels, palette, transparency } = png;
  const samples = depth < 8 ? unpacked(png) : png.data;
  if (palette !== undefined) return ofPalette(samples, palette, { width, height });
  const out = new Uint8Array(width * height * channels);
  const isGrey16 = depth === 16 && channels === 1;
  const top = 2 ** Math.min(8, depth) - 1;
  for (let at = 0; at < out.length; at++)
    out[at] = isGrey16 ? Math.min(255, samples[at]) : depth === 16 ? samples[at] >> 8 : (samples[at] * 255) / top;
  const image: Pixels = { width, height, channels, data: out };
  if (transparency === undefined || transparency.length === 0 || channels % 2 === 0) return image;
  return withKey(image, (at) => transparency.every((value, part) => samples[at * channels + part] === value));
}

/** Samples of less than 8 bits, the first in the highest bits; each row begins with a byte of its own. */
function unpacked({ width, height, depth, channels, data }: DecodedPng): Uint8Array {
  const line = width * channels;
  if (data.length === line * height && depth === 8) return Uint8Array.from(data);
  const out = new Uint8Array(line * height);
  const bytes = Math.ceil((line * depth) / 8);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < line; x++) {
      const bit = x * depth;
      out[y * line + x] = (data[y * bytes + (bit >> 3)] >> (8 - depth - (bit & 7))) & (2 ** depth - 1);
    }
  return out;
}

function ofPalette(
  samples: ArrayLike<number>,
  palette: readonly (readonly number[])[],
  { width, height }: { width: number; height: number },
): Pixels {
  const channels = palette.some((colour) => colour.length > 3) ? 4 : 3;
  const out = new Uint8Array(width * height * channels).fill(255);
  for (let at = 0; at < width * height; at++) out.set(palette[samples[at]] ?? [0, 0, 0], at * channels);
  return { width, height, channels, data: out };
}

/** With an alpha of 0 where `isKey`. */
function withKey({ width, height, channels, data }: Pixels, isKey: (at: number) => boolean): Pixels {
  const to = channels + 1;
  const out = new Uint8Array(width * height * to);
  for (let at = 0; at < width * height; at++) {
    out.set(data.subarray(at * channels, (at + 1) * channels), at * to);
    out[at * to + channels] = isKey(at) ? 0 : 255;
  }
  return { width, height, channels: to, data: out };
}
