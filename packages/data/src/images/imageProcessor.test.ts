import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { decodeImage } from './decodeImage.js';
import { ImageProcessor } from './imageProcessor.js';

/** Images of odd sizes and modes, and what transformers' processors make of them: parity/images.py. */
const golden = fileURLToPath(new URL('../../../../parity/golden/images/', import.meta.url));
const { processors } = JSON.parse(await readFile(`${golden}settings.json`, 'utf8')) as {
  readonly processors: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
};
const files = readdirSync(golden).filter((name) => /\.(png|jpg|webp)$/.test(name));
const answers = await readFile(`${golden}pixels.safetensors`);
const header = Number(answers.readBigUInt64LE());
const entries = JSON.parse(answers.subarray(8, 8 + header).toString()) as Readonly<
  Record<string, { readonly shape: readonly number[]; readonly data_offsets: readonly [number, number] }>
>;

test('there are twelve of them', () => expect(files.length).toBe(12));

describe.each(Object.keys(processors))('%s', (name) => {
  test.each(files)('%s is what transformers makes of it', async (file) => {
    const image = await decodeImage(await readFile(golden + file), file);
    const made = new ImageProcessor(processors[name] ?? {}, name === 'grey' ? 1 : 3).process(image);
    const { shape, data_offsets: [start, end] = [0, 0] } = entries[`${name}.${file}`] ?? {};
    const want = new Float32Array(Uint8Array.from(answers.subarray(8 + header + start, 8 + header + end)).buffer);
    expect([made.channels, made.height, made.width]).toEqual(shape);
    const worst = want.reduce((top, value, at) => Math.max(top, Math.abs(value - (made.pixels[at] ?? NaN))), 0);
    expect(worst).toBeLessThan(1e-6);
  });
});

test('settings that Lowrank does not have are refused by name', () => {
  const make = (json: object): ImageProcessor => new ImageProcessor({ ...json }, 3);
  expect(() => make({ image_processor_type: 'DetrImageProcessor' })).toThrow('image_processor_type in');
  expect(() => make({ do_pad: true })).toThrow('do_pad in');
  expect(() => make({ size: { max_height: 5, max_width: 5 } })).toThrow('size in');
  expect(() => make({ resample: 9 })).toThrow('resample in');
  expect(() => make({ image_mean: [0.5] })).toThrow('image_mean in');
  expect(() => make({ crop_size: 0, do_center_crop: true })).toThrow('crop_size in');
});

test('damaged images and other formats are named', async () => {
  const bytes = await readFile(`${golden}colour.jpg`);
  await expect(decodeImage(bytes.subarray(0, 40), 'cut.jpg')).rejects.toThrow('cut.jpg: expected an image that can');
  await expect(decodeImage(new TextEncoder().encode('GIF89a'), 'a.gif')).rejects.toThrow('a.gif: expected a PNG, JPEG');
  await expect(decodeImage(new Uint8Array(0), 'empty.png')).rejects.toThrow('an empty file');
});
