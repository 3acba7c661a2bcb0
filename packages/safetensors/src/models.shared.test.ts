import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { bytesSource } from './byteSource.js';
import { fileSource } from './fileSource.js';
import { openSafetensors } from './open.js';
import { serializeSafetensors } from './write.js';

const shared = fileURLToPath(new URL('../../../../shared/', import.meta.url));

it.runIf(existsSync(shared)).each([
  { path: 'data/models/stories3M/model.safetensors', parameters: 3_148_224, byPeft: false },
  { path: 'data/models/stories260K/model.safetensors', parameters: 260_032, byPeft: false },
  { path: 'golden/stories3M-e2e/init/adapter_model.safetensors', parameters: undefined, byPeft: false },
  { path: 'data/adapters/peft-gpt2-emotion/adapter_model.safetensors', parameters: undefined, byPeft: true },
])('$path opens and survives being written again', async ({ path, parameters, byPeft }) => {
  const file = await openSafetensors(fileSource(shared + path));
  const entries = await Promise.all([...file.tensors.values()].map(async ({ name, dtype, shape }) => ({ name, dtype, shape, data: await file.read(name) })));
  if (parameters !== undefined) expect(entries.reduce((sum, { data }) => sum + data.length / 4, 0)).toBe(parameters);
  const metadata = Object.keys(file.metadata).length === 0 ? undefined : file.metadata;
  const again = serializeSafetensors(entries, metadata);
  const reopened = await openSafetensors(bytesSource(again));
  for (const { name, data } of entries) expect(Buffer.from(await reopened.read(name)).equals(data)).toBe(true);
  // The others were written by a script that lays tensors out in an order of its own.
  if (byPeft) expect(Buffer.from(again).equals(readFileSync(shared + path))).toBe(true);
});
