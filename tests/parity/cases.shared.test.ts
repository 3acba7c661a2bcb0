import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { existsSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createCpuBackend } from '@lowrank/cpu';
import { readAdapter } from '@lowrank/lora';
import type { CausalModel } from '@lowrank/models';
import { loadCausalModel, openFolder, openModelWeights } from '@lowrank/models';
import { loadAdapter } from '@lowrank/patch';
import { fileSource, openSafetensors } from '@lowrank/safetensors';
import type { Backend, HostArray } from '@lowrank/tensor';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { convertFolders } from '../../packages/lowrank/src/jobs/convert.js';
import { evaluateFolder } from '../../packages/lowrank/src/jobs/evaluate.js';
import { fineTuneFolder } from '../../packages/lowrank/src/jobs/fineTune.js';
import { mergeFolders } from '../../packages/lowrank/src/jobs/merge.js';
import { logitsOn } from '../helpers/logitsOn.js';

/** The adapters of ../shared/cases, with the ids and logits of PEFT beside them. */
const root = fileURLToPath(new URL('../../../shared/cases/', import.meta.url));
const adapters = readdirSync(root).filter((name) => existsSync(`${root}${name}/want.json`));

let backend: Backend;
let folder: string;
beforeAll(async () => {
  backend = await createCpuBackend();
  folder = await mkdtemp(join(tmpdir(), 'lowrank-shared-cases-'));
});
afterAll(async () => {
  backend.dispose();
  await rm(folder, { recursive: true });
});

const load = async (path: string): Promise<CausalModel> => loadCausalModel(await openFolder(path));

const logitsOf = (model: CausalModel, ids: readonly number[]): Promise<HostArray> => logitsOn(backend, model, ids);

describe.each(adapters)('%s', (name) => {
  test('its logits, beside the base and merged', async () => {
    const base = root + (await readFile(`${root}${name}/base`, 'utf8')).trim();
    const want = JSON.parse(await readFile(`${root}${name}/want.json`, 'utf8')) as {
      ids: number[][];
      logits: number[][][];
    };
    const [ids = []] = want.ids;
    const wanted = want.logits.flat(2);
    const expectLogits = (found: HostArray): void => {
      expect(found.length).toBe(wanted.length);
      const worst = wanted.reduce((top, value, at) => Math.max(top, Math.abs(value - (found[at] ?? NaN))), 0);
      expect(worst).toBeLessThan(1e-4);
    };
    const model = await load(base);
    const adapter = await readAdapter({
      config: JSON.parse(await readFile(`${root}${name}/adapter_config.json`, 'utf8')),
      weights: fileSource(`${root}${name}/adapter_model.safetensors`),
      name,
    });
    await loadAdapter(model, adapter);
    expectLogits(await logitsOf(model, ids));
    model.dispose();
    const output = join(folder, name);
    await mergeFolders({ model: base, adapter: root + name, output });
    const merged = await load(output);
    expectLogits(await logitsOf(merged, ids));
    merged.dispose();
  });
});

describe('tied-but-own-head: the config ties, the file holds an output projection of its own', () => {
  const model = `${root}tied-but-own-head`;
  const data = `${model}/rows.jsonl`;
  /** transformers' loss over the rows. */
  const loss = 6.88404;

  test('eval', async () => {
    expect((await evaluateFolder({ backend, model, data })).loss).toBeCloseTo(loss, 4);
  });

  test('--method full trains both, and saves both, untied', async () => {
    const output = join(folder, 'full');
    await fineTuneFolder({ backend, model, data, output, method: 'full', steps: 1, learningRate: 1e-12 });
    const { config, file } = await openModelWeights(await openFolder(output));
    expect(config).toMatchObject({ tie_word_embeddings: false });
    expect([...file.tensors.keys()]).toContain('lm_head.weight');
    expect((await evaluateFolder({ backend, model: output, data })).loss).toBeCloseTo(loss, 4);
  });

  test('convert writes the output projection', async () => {
    const output = join(folder, 'model.gguf');
    await convertFolders({ model, output, to: 'gguf', preTokenizer: 'llama-bpe' });
    const { tensors } = await openSafetensors(fileSource(`${model}/model.safetensors`));
    expect(tensors.has('lm_head.weight')).toBe(true);
    // Its name, with its length before it: other names end so too.
    const name = Buffer.from('\x0d\0\0\0\0\0\0\0output.weight', 'latin1');
    expect((await readFile(output)).includes(name)).toBe(true);
  });
});
