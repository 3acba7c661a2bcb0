import type { Pixels } from './resample.js';

/** Grey as three equal colours; colours stay, and alpha goes with them. */
function coloured({ data, channels, width, height }: Pixels): Pixels {
  if (channels > 2) return { data, channels, width, height };
  const to = channels + 2;
  const out = new Uint8Array(width * height * to);
  for (let at = 0; at < width * height; at++) {
    out.fill(data[at * channels], at * to, at * to + 3);
    if (channels === 2) out[at * to + 3] = data[at * 2 + 1];
  }
  return { data: out, channels: to, width, height };
}

/** Red, green and blue as they are, whatever lies in alpha: PIL's `convert('RGB')`. */
export function withoutAlpha(image: Pixels): Pixels {
  const { data, channels, width, height } = coloured(image);
  if (channels === 3) return { data, channels, width, height };
  const out = new Uint8Array(width * height * 3);
  for (let at = 0; at < width * height; at++) out.set(data.subarray(at * 4, at * 4 + 3), at * 3);
  return { data: out, channels: 3, width, height };
}

/** On white, as transformers' `convert_to_rgb` lays transparent images: PIL's `alpha_composite`, in its arithmetic. */
export function onWhite(image: Pixels): Pixels {
  const { data, channels, width, height } = coloured(image);
  if (channels === 3) return { data, channels, width, height };
  const out = new Uint8Array(width * height * 3);
  for (let at = 0; at < width * height; at++) {
    const alpha = data[at * 4 + 3];
    for (let part = 0; part < 3; part++) {
      const mixed = (data[at * 4 + part] * alpha + 255 * (255 - alpha)) * 128 + (0x80 << 7);
      out[at * 3 + part] = (((mixed >> 8) + mixed) >> 8) >> 7;
    }
  }
  return { data: out, channels: 3, width, height };
}

/** One channel, by the weights of ITU-R 601-2 as PIL has them. */
export function grey(image: Pixels): Pixels {
  const { data, channels, width, height } = image;
  if (channels === 1) return image;
  const out = new Uint8Array(width * height);
  for (let at = 0; at < out.length; at++) {
    const from = at * channels;
    out[at] =
      channels === 2
        ? data[from]
        : (data[from] * 19595 + data[from + 1] * 38470 + data[from + 2] * 7471 + 0x8000) >> 16;
  }
  return { data: out, channels: 1, width, height };
}

/** The middle of an image; where it is smaller, the rest is 0 (transformers' `center_crop`). */
export function centerCrop(image: Pixels, width: number, height: number): Pixels {
  const { data, channels } = image;
  const out = new Uint8Array(width * height * channels);
  const [left, top] = [firstOf(image.width, width), firstOf(image.height, height)];
  for (let y = 0; y < height; y++) {
    const row = y + top;
    if (row < 0 || row >= image.height) continue;
    const [from, to] = [Math.max(0, left), Math.min(image.width, left + width)];
    if (from >= to) continue;
    const start = row * image.width;
    out.set(data.subarray((start + from) * channels, (start + to) * channels), (y * width + from - left) * channels);
  }
  return { data: out, channels, width, height };
}

/** Where a crop begins in an image of this length: before it, where the crop is longer. */
function firstOf(length: number, crop: number): number {
  const first = Math.floor((length - crop) / 2);
  if (first >= 0 && first + crop <= length) return first;
  // transformers pads first, by half of what is missing, rounded up.
  const padding = Math.ceil((Math.max(crop, length) - length) / 2);
  return Math.max(0, first + padding) - padding;
}

/**
 * Bytes as the numbers that a model takes: (x·factor − mean) / deviation, channel by channel [C, H, W], rounded to f32
 * where NumPy rounds.
 */
export function planes(
  { data, channels, width, height }: Pixels,
  { factor, mean, deviation }: { factor: number; mean: readonly number[]; deviation: readonly number[] },
): Float32Array {
  const size = width * height;
  const out = new Float32Array(channels * size);
  for (let channel = 0; channel < channels; channel++) {
    const [m, d] = [Math.fround(mean[channel]), Math.fround(deviation[channel])];
    for (let at = 0; at < size; at++)
      out[channel * size + at] = Math.fround(Math.fround(data[at * channels + channel] * factor) - m) / d;
  }
  return out;
}
