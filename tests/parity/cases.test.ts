import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createCpuBackend } from '@lowrank/cpu';
import type { LoraAdapter } from '@lowrank/lora';
import { readAdapter, readAdapterFiles, serializeAdapter } from '@lowrank/lora';
import type { CausalModel } from '@lowrank/models';
import { loadCausalModel, openFolder } from '@lowrank/models';
import { loadAdapter, saveAdapter } from '@lowrank/patch';
import { fileSource } from '@lowrank/safetensors';
import type { Backend, HostArray } from '@lowrank/tensor';
import { compile, reshape } from '@lowrank/tensor';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mergeFolders } from '../../packages/lowrank/src/jobs/merge.js';

/** Folders as people have them, and the logits of transformers and PEFT over them (parity/cases.py). */
const root = fileURLToPath(new URL('../../parity/golden/cases/', import.meta.url));
const { ids: usual, cases } = JSON.parse(await readFile(`${root}answers.json`, 'utf8')) as {
  ids: number[];
  cases: Record<string, { base: string; ids?: number[]; logits: number[][] }>;
};
const adapters = Object.entries(cases).filter(([name, { base }]) => name !== base);

let backend: Backend;
let folder: string;
beforeAll(async () => {
  backend = await createCpuBackend();
  folder = await mkdtemp(join(tmpdir(), 'lowrank-cases-'));
});
afterAll(async () => {
  backend.dispose();
  await rm(folder, { recursive: true });
});

const load = async (path: string): Promise<CausalModel> => loadCausalModel(await openFolder(path));

async function logitsOf(model: CausalModel, name: string): Promise<HostArray> {
  const ids = cases[name]?.ids ?? usual;
  const { length } = ids;
  const compiled = compile(backend, ({ tokens, positions, segments }) => {
    if (tokens === undefined || positions === undefined || segments === undefined) throw new TypeError('three inputs');
    const hidden = model.hidden(tokens, { positions, segments });
    return { logits: model.logits(reshape(hidden, [length, model.shape.hiddenSize])) };
  });
  const { logits } = await compiled.run({
    tokens: { data: Int32Array.from(ids), shape: [1, length] },
    positions: { data: Int32Array.from(ids, (_, at) => at), shape: [1, length] },
    segments: { data: Int32Array.from({ length: 2 * length }, (_, at) => (at % 2) * length), shape: [1, length, 2] },
  });
  const values = await logits;
  await compiled.dispose();
  return values;
}

function expectLogits(found: HostArray, name: string): void {
  const wanted = cases[name]?.logits.flat() ?? [];
  expect(found.length).toBe(wanted.length);
  const largest = Math.max(...wanted.map(Math.abs));
  const worst = Math.max(...wanted.map((value, at) => Math.abs(value - (found[at] ?? NaN))));
  expect(worst / largest).toBeLessThan(2e-5);
}

async function open(name: string): Promise<LoraAdapter> {
  return readAdapter({
    config: JSON.parse(await readFile(`${root}${name}/adapter_config.json`, 'utf8')),
    weights: fileSource(`${root}${name}/adapter_model.safetensors`),
    name,
  });
}

test('an output projection that the config ties, but the file holds apart', async () => {
  expectLogits(await logitsOf(await load(`${root}own-head`), 'own-head'), 'own-head');
});

describe.each(adapters)('%s', (name, { base }) => {
  test('its logits, and those of what is saved again', async () => {
    const model = await load(`${root}${base}`);
    const said: string[] = [];
    await loadAdapter(model, await open(name), { onWarning: (text) => said.push(text) });
    expectLogits(await logitsOf(model, name), name);
    expect(said).toEqual(
      name === 'gemma3-vision' ? [expect.stringMatching(/vision_tower.*the text part is taken/)] : [],
    );
    const saved = serializeAdapter(await saveAdapter(model));
    model.dispose();
    const again = await load(`${root}${base}`);
    await loadAdapter(again, await readAdapterFiles(saved));
    expectLogits(await logitsOf(again, name), name);
    again.dispose();
  });

  test('merged', async () => {
    const output = join(folder, name);
    await mergeFolders({ model: `${root}${base}`, adapter: `${root}${name}`, output });
    const model = await load(output);
    expectLogits(await logitsOf(model, name), name);
    model.dispose();
  });
});
