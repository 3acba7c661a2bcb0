import { decodeImage, ImageProcessor } from '@lowrank/data';
import type { SafetensorsFile } from '@lowrank/safetensors';
import { bytesSource, openSafetensors } from '@lowrank/safetensors';
import { beforeAll, expect, test } from 'vitest';
import { fetchFile, fetchJson } from '../helpers/browserFiles';
import { affineShader, runShader } from '../helpers/runShader';

// The browser's own decoder beside PIL and transformers: docs/tasks.md says where they differ.

const golden = 'parity/golden/images';
type Settings = Readonly<Record<string, unknown>>;
let processors: Readonly<Record<string, Settings>>;
let answers: SafetensorsFile;
beforeAll(async () => {
  ({ processors } = await fetchJson<{ processors: typeof processors }>(`${golden}/settings.json`));
  answers = await openSafetensors(bytesSource(await fetchFile(`${golden}/pixels.safetensors`), 'pixels.safetensors'));
});

/** The largest difference from what transformers makes of an image, in levels of 255; both deviations are a half. */
async function levels(processor: 'vit' | 'siglip', file: string): Promise<number> {
  const image = await decodeImage(await fetchFile(`${golden}/${file}`), file);
  const { pixels } = new ImageProcessor(processors[processor] ?? {}, 3).process(image);
  const want = new Float32Array(new Uint8Array(await answers.read(`${processor}.${file}`)).buffer);
  expect(pixels.length).toBe(want.length);
  return want.reduce((top, value, at) => Math.max(top, Math.abs(value - (pixels[at] ?? NaN))), 0) * 127.5;
}

test.each(['bit.png', 'colour.jpg', 'grey.png', 'rgb.png', 'tall.png', 'tiny.png'])(
  '%s is what PIL reads, to the last byte',
  async (file) => {
    expect(await levels('vit', file)).toBeLessThan(0.01);
    expect(await levels('siglip', file)).toBeLessThan(0.01);
  },
);

test.each(['alpha.webp', 'greyAlpha.png', 'palette.png', 'rgba.png'])(
  '%s, transparent in parts, is what PIL reads once it is laid on white',
  async (file) => {
    expect(await levels('siglip', file)).toBeLessThan(0.01);
    // Without that the canvas has rounded colours under transparency, and lost those under none of it.
    if (file !== 'palette.png') expect(await levels('vit', file)).toBeLessThan(2.01);
  },
);

test('a JPEG that says how it was held is turned as it is shown', async () => {
  const { width, height } = await decodeImage(await fetchFile(`${golden}/rotated.jpg`), 'rotated.jpg');
  expect([width, height]).toEqual([33, 22]);
});

test('a prepared image reaches the GPU', async () => {
  const image = await decodeImage(await fetchFile(`${golden}/tiny.png`), 'tiny.png');
  const { pixels } = new ImageProcessor(processors['vit'] ?? {}, 3).process(image);
  const device = await (await navigator.gpu.requestAdapter())?.requestDevice();
  if (!device) throw new Error('no device');
  const input = pixels.slice(0, 5);
  const output = await runShader({ device, code: affineShader, input, workgroups: 1 });
  output.forEach((value, at) => expect(value).toBeCloseTo(2 * (input[at] ?? NaN) + 1, 5));
  device.destroy();
});

test('what is no image is named', async () => {
  const bytes = new TextEncoder().encode('no image');
  await expect(decodeImage(bytes, 'a.png')).rejects.toMatchObject({ code: 'images.decode', what: 'a.png' });
});
