import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { decodeImage } from './decodeImage.js';

const images = fileURLToPath(new URL('../../../../parity/golden/images/', import.meta.url));

test.each(['colour.jpg', 'rgb.png', 'alpha.webp'])('%s that is cut off is an error, as for PIL', async (name) => {
  const bytes = new Uint8Array(readFileSync(images + name));
  const whole = await decodeImage(bytes, name);
  for (const share of [0.5, 0.9]) {
    const part = bytes.slice(0, Math.floor(bytes.length * share));
    await expect(decodeImage(part, name)).rejects.toMatchObject({ code: 'images.decode', what: name });
  }
  // A JPEG that lacks its end alone, too.
  if (name.endsWith('.jpg'))
    await expect(decodeImage(bytes.slice(0, -2), name)).rejects.toThrow('got Premature end of JPEG file');
  expect(await decodeImage(bytes, name)).toEqual(whole);
});
