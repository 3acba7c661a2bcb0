import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { bytesSource } from './byteSource.js';
import { fileSource } from './fileSource.js';
import { openSafetensors } from './open.js';
import { serializeSafetensors } from './write.js';

const shared = fileURLToPath(new URL('../../../../shared/', import.meta.url));

it.runIf(existsSync(shared)).each([
  // Only the last was written by the library; the others by a script that lays tensors out in an order of its own.
  { path: 'data/models/stories3M/model.safetensors', elements: 3_148_224, sameBytes: false },
  { path: 'data/models/stories260K/model.safetensors', elements: 260_032, sameBytes: false },
  {
    path: 'golden/stories260K-e2e/init/adapter_model.safetensors',
    elements: 5 * 8 * (2 * 128 + 2 * 96 + 3 * 236),
    sameBytes: false,
  },
  {
    path: 'data/adapters/peft-gpt2-emotion/adapter_model.safetensors',
    elements: 12 * 8 * (768 + 2304) + 6 * 768,
    sameBytes: true,
  },
])('$path opens and survives being written again', async ({ path, elements, sameBytes }) => {
  const file = await openSafetensors(fileSource(shared + path));
  const entries = await Promise.all(
    [...file.tensors.values()].map(async ({ name, dtype, shape }) => ({
      name,
      dtype,
      shape,
      data: await file.read(name),
    })),
  );
  expect(entries.reduce((sum, { data }) => sum + data.length / 4, 0)).toBe(elements);
  const metadata = Object.keys(file.metadata).length === 0 ? undefined : file.metadata;
  const again = serializeSafetensors(entries, metadata);
  const reopened = await openSafetensors(bytesSource(again));
  for (const { name, data } of entries) expect(Buffer.from(await reopened.read(name)).equals(data)).toBe(true);
  expect(Buffer.from(again).equals(readFileSync(shared + path))).toBe(sameBytes);
});
