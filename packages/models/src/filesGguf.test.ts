import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { filesFrom, openFolder, openWeights, readJson } from './files.js';
import { findModel } from './filesFind.js';
import { loadCausalModel } from './load.js';
import { remoteGguf } from './remoteGguf.js';
import { commit, hubServer, repo } from '../../../tests/helpers/hubServer.js';
import type { HubServer } from '../../../tests/helpers/hubServer.js';

const path = fileURLToPath(new URL('../../../parity/golden/ggufBases/qwen3.gguf', import.meta.url));
const model = readFileSync(path);

let home: string;
let hub: HubServer;
beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), 'lowrank-gguf-'));
  hub = await hubServer({ 'config.json': model.subarray(0, 50), 'tiny-Q4_1.gguf': model, 'tiny-Q8_0.gguf': model });
});
afterEach(async () => {
  await hub[Symbol.asyncDispose]();
  rmSync(home, { recursive: true });
});

const find = (text: string): ReturnType<typeof findModel> =>
  findModel(text, { env: { HF_HOME: home, HF_ENDPOINT: hub.url }, pause: () => Promise.resolve() });

test('a path is the file itself; a folder of that name is a folder', async () => {
  expect(await find(path)).toEqual({ name: path, folder: path });
  expect(await readJson(await openFolder(path), 'config.json')).toMatchObject({ model_type: 'qwen3', head_dim: 8 });
  writeFileSync(join(home, 'broken.gguf'), model.subarray(0, -40));
  await expect(openFolder(join(home, 'broken.gguf'))).rejects.toThrow(/a file of at least \d+ bytes, got \d+/);
});

test('a file of a repository, and nothing else of it', async () => {
  const { name, folder } = await find(`${repo}/tiny-Q4_1.gguf`);
  expect(name).toBe(`${repo}/tiny-Q4_1.gguf`);
  expect(folder).toBe(join(home, 'hub/models--tiny--llama/snapshots', commit, 'tiny-Q4_1.gguf'));
  expect(readFileSync(folder).equals(model)).toBe(true);
  expect(hub.requests.some((request) => request.includes('config.json'))).toBe(false);
  expect(hub.requests.some((request) => request.includes('Q8_0'))).toBe(false);
  expect((await find(`${hub.url}/${repo}/blob/main/tiny-Q4_1.gguf`)).folder).toBe(folder);
  await expect(find(`${repo}/other.gguf`)).rejects.toThrow(/expected other.gguf/);
});

test('the URL of a file', async () => {
  const { name, folder } = await find(`${hub.url}/plain/tiny-Q8_0.gguf`);
  expect(name).toBe(`${hub.url}/plain/tiny-Q8_0.gguf`);
  expect(readFileSync(folder).equals(model)).toBe(true);
  const warnings: string[] = [];
  const loaded = await loadCausalModel(await openFolder(folder), { onWarning: (text) => warnings.push(text) });
  expect(loaded.shape.modelType).toBe('qwen3');
});

test('a picked file', async () => {
  const files = filesFrom([new File([model], 'tiny.gguf')]);
  expect(await readJson(files, 'config.json')).toMatchObject({ model_type: 'qwen3' });
  expect((await openWeights(files)).tensors.has('model.layers.0.self_attn.q_norm.weight')).toBe(true);
});

test.each([
  ['a/b/c.gguf', { from: { id: 'a/b', revision: 'main' }, file: 'c.gguf' }],
  ['a/b@dev/c.GGUF', { from: { id: 'a/b', revision: 'dev' }, file: 'c.GGUF' }],
  ['https://huggingface.co/a/b/resolve/main/c.gguf', { from: { id: 'a/b', revision: 'main' }, file: 'c.gguf' }],
  ['https://x.org/d/c.gguf?key=1', { from: 'https://x.org/d?key=1', file: 'c.gguf' }],
  ['c.gguf', undefined],
  ['a/b', undefined],
])('%s', (text, wanted) => {
  expect(remoteGguf(text)).toEqual(wanted);
});
