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
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mergeFolders } from '../../packages/lowrank/src/jobs/merge.js';
import { logitsOn } from '../helpers/logitsOn.js';

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

const idsOf = (name: string): readonly number[] => cases[name]?.ids ?? usual;

const logitsOf = (model: CausalModel, ids: readonly number[]): Promise<HostArray> => logitsOn(backend, model, ids);

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
  expectLogits(await logitsOf(await load(`${root}own-head`), idsOf('own-head')), 'own-head');
});

describe.each(adapters)('%s', (name, { base }) => {
  test('its logits, and those of what is saved again', async () => {
    const model = await load(`${root}${base}`);
    const said: string[] = [];
    await loadAdapter(model, await open(name), { onWarning: (text) => said.push(text) });
    expectLogits(await logitsOf(model, idsOf(name)), name);
    expect(said).toEqual(
      name === 'gemma3-vision' ? [expect.stringMatching(/vision_tower.*the text part is taken/)] : [],
    );
    const saved = serializeAdapter(await saveAdapter(model));
    model.dispose();
    const again = await load(`${root}${base}`);
    await loadAdapter(again, await readAdapterFiles(saved));
    expectLogits(await logitsOf(again, idsOf(name)), name);
    again.dispose();
  });

  test('merged', async () => {
    const output = join(folder, name);
    await mergeFolders({ model: `${root}${base}`, adapter: `${root}${name}`, output });
    const model = await load(output);
    expectLogits(await logitsOf(model, idsOf(name)), name);
    model.dispose();
  });
});
