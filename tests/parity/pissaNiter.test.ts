import { createCpuBackend } from '@lowrank/cpu';
import type { LoraConfig } from '@lowrank/lora';
import { loadCausalModel, openFolder } from '@lowrank/models';
import { addAdapter, loadAdapter, mergeAdapter, saveAdapter } from '@lowrank/patch';
import { fileSource, openSafetensors } from '@lowrank/safetensors';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Backend } from '@lowrank/tensor';
import { expectClose, floats, golden, logitsOf, readFolder, readJson, trainFive } from './variantCases';

/**
 * PiSSA by a randomized decomposition, whose subspace no other library's random numbers give to the bit:
 * parity/variants.py, pissaNiter.
 */
const folder = `${golden}variants/pissaNiter`;
const open = async (): ReturnType<typeof loadCausalModel> => loadCausalModel(await openFolder(`${golden}llama/untied`));

let backend: Backend;
beforeAll(async () => (backend = await createCpuBackend()));
afterAll(() => backend.dispose());

test('what PEFT’s conversion saved computes what PEFT trained', async () => {
  const file = await openSafetensors(fileSource(`${folder}.safetensors`));
  const model = await open();
  const theirs = await readFolder(`${folder}/converted`);
  await loadAdapter(model, theirs);
  expectClose(await logitsOf(backend, model), await floats(file, 'logits.trained'), 1e-4);
  await mergeAdapter(model);
  expectClose(await logitsOf(backend, model), await floats(file, 'logits.merged'), 1e-4);
  model.dispose();
});

test('a file that PEFT did not convert finds its part of W again, as far as the steps go', async () => {
  const file = await openSafetensors(fileSource(`${folder}.safetensors`));
  const model = await open();
  const adapter = await readFolder(folder);
  expect(adapter.config.init).toBe('pissa_niter_64');
  await loadAdapter(model, adapter);
  expectClose(await logitsOf(backend, model), await floats(file, 'logits.start'), 1e-4);
  model.dispose();
});

test('made here it begins as the base, goes PEFT’s way, and is saved with PEFT’s ranks', async () => {
  const file = await openSafetensors(fileSource(`${folder}.safetensors`));
  const { losses } = await readJson<{ losses: number[] }>(`${folder}.json`);
  const theirs = await readFolder(`${folder}/converted`);
  const given = await readJson<{ r: number; lora_alpha: number }>(`${folder}/adapter_config.json`);
  const config: LoraConfig = { ...theirs.config, r: given.r, alpha: given.lora_alpha, init: 'pissa_niter_64' };
  const model = await open();
  const base = await logitsOf(backend, model);
  const { parameters } = await addAdapter(model, config);
  expectClose(await logitsOf(backend, model), base, 2e-5);
  expectClose(base, await floats(file, 'logits.start'), 2e-5);
  const ours = await trainFive(backend, model, parameters);
  ours.forEach((loss, at) => expect(Math.abs(loss / (losses[at] ?? NaN) - 1)).toBeLessThan(2e-5));
  expectClose(await logitsOf(backend, model), await floats(file, 'logits.trained'), 1e-4);
  const saved = await saveAdapter(model);
  expect(
    new Map(
      [...saved.layers].map(([path, { rank, inFeatures, outFeatures }]) => [path, [rank, inFeatures, outFeatures]]),
    ),
  ).toEqual(
    new Map(
      [...theirs.layers].map(([path, { rank, inFeatures, outFeatures }]) => [path, [rank, inFeatures, outFeatures]]),
    ),
  );
  model.dispose();
});
