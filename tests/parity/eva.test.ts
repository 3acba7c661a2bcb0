import type { TrainedParameter } from '@lowrank/nn';
import { readFile } from 'node:fs/promises';
import { createCpuBackend } from '@lowrank/cpu';
import { padBatch } from '@lowrank/data';
import type { LoraAdapter } from '@lowrank/lora';
import { serializeAdapter, serializeAdapterConfig } from '@lowrank/lora';
import { loadAdapter, mergeAdapter, saveAdapter } from '@lowrank/patch';
import { bytesSource, fileSource, openSafetensors } from '@lowrank/safetensors';
import type { SafetensorsFile } from '@lowrank/safetensors';
import type { Backend } from '@lowrank/tensor';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EvaCase } from './evaCases';
import { beginEva, inputBatch, openEva, projector } from './evaCases';
import { expectClose, floats, golden, logitsOf, readJson, trainFive, variantRows } from './variantCases';

/** PEFT's EVA on the same rows: parity/eva.py. */
const names = ['eva', 'evaPattern', 'evaDropped', 'evaWhiten', 'evaConv1d'];

let backend: Backend;
beforeAll(async () => (backend = await createCpuBackend()));
afterAll(() => backend.dispose());

test.each(names)(
  '%s: PEFT’s ranks, alphas, targets and subspaces; its losses, logits and merge; its file',
  async (name) => {
    const opened = await openEva(name);
    const { answers, file, theirs, model } = opened;
    const base = await logitsOf(backend, model);
    const { config, parameters } = await beginEva(opened, {
      backend,
      batches: [inputBatch(await variantRows(), opened.config.eva?.useLabelMask ?? true)],
    });
    const { targetModules, rankPattern, alphaPattern, eva, init } = theirs.config;
    expect({
      targetModules: config.targetModules,
      rankPattern: config.rankPattern,
      alphaPattern: config.alphaPattern,
      eva: config.eva,
      init: config.init,
    }).toEqual({ targetModules, rankPattern, alphaPattern, eva, init });
    expect(init).toBe('eva');
    const ours = await saveAdapter(model);
    expect([...ours.layers.keys()].sort()).toEqual([...theirs.layers.keys()].sort());
    // Whitened, A is shorter by the fourth root of how often PEFT went through its data.
    const factor = config.eva?.whiten === true ? Math.sqrt(answers.passes) : 1;
    for (const [path, { a, inFeatures, rank, b }] of ours.layers) {
      const want = theirs.layers.get(path);
      expect([path, rank]).toEqual([path, want?.rank]);
      expect(b.every((value) => value === 0)).toBe(true);
      expectClose(
        projector(a, inFeatures).map((value) => value / factor),
        projector(want?.a ?? a, inFeatures),
        path.includes('down_proj') ? 1e-2 : 2e-4,
      );
    }
    const original = await openSafetensors(fileSource(`${golden}eva/${name}/adapter_model.safetensors`));
    const written = await openSafetensors(
      bytesSource(serializeAdapter(ours)['adapter_model.safetensors'] ?? new Uint8Array()),
    );
    const shapes = ({ tensors }: SafetensorsFile): unknown =>
      new Map([...tensors].map(([key, { shape, dtype }]) => [key, [shape, dtype]]));
    expect(shapes(written)).toEqual(shapes(original));
    const saved = JSON.parse(serializeAdapterConfig(config)) as Record<string, unknown>;
    const wanted = await readJson<Record<string, unknown>>(`${golden}eva/${name}/adapter_config.json`);
    for (const key of [
      'init_lora_weights',
      'eva_config',
      'rank_pattern',
      'alpha_pattern',
      'r',
      'lora_alpha',
      'use_dora',
      'use_rslora',
      'target_modules',
    ])
      expect([key, saved[key]]).toEqual([key, wanted[key]]);
    expectClose(await logitsOf(backend, model), base, 1e-6);
    expectClose(base, await floats(file, 'logits.start'), 2e-5);
    if (factor !== 1) return;
    await expectTraining(opened, parameters);
    model.dispose();
  },
);

async function expectTraining(
  { model, answers, file }: EvaCase,
  parameters: readonly TrainedParameter[],
): Promise<void> {
  (await trainFive(backend, model, parameters)).forEach((got, at) =>
    expect(Math.abs(got / (answers.losses[at] ?? NaN) - 1)).toBeLessThan(1e-4),
  );
  expectClose(await logitsOf(backend, model), await floats(file, 'logits.trained'), 1e-4);
  await mergeAdapter(model);
  expectClose(await logitsOf(backend, model), await floats(file, 'logits.merged'), 1e-4);
}

test.each(names)(
  '%s: what PEFT saved is loaded, trained on as PEFT does, and saved again byte by byte',
  async (name) => {
    const opened = await openEva(name);
    const { theirs, model } = opened;
    const { parameters } = await loadAdapter(model, theirs);
    const again = serializeAdapter(await saveAdapter(model));
    expect(
      Buffer.compare(
        Buffer.from(again['adapter_model.safetensors'] ?? []),
        await readFile(`${golden}eva/${name}/adapter_model.safetensors`),
      ),
    ).toBe(0);
    await expectTraining(opened, parameters);
    model.dispose();
  },
);

test(
  'neither batches nor padding nor the memory at hand change the directions; q, k and v are ' + 'measured once',
  async () => {
    const rows = await variantRows();
    const results: LoraAdapter[] = [];
    const small = 4 * 24 ** 2;
    for (const [batches, memory] of [
      [[inputBatch(rows, true)]],
      [[inputBatch(rows, true, padBatch)]],
      [rows.map((row) => inputBatch([row], true)).reverse()],
      [[inputBatch(rows, true)], small],
    ] as const) {
      const opened = await openEva('eva');
      await beginEva(opened, { backend, batches, memory });
      results.push(await saveAdapter(opened.model));
      const layer = (path: string): Float32Array | undefined => results.at(-1)?.layers.get(`model.layers.0.${path}`)?.a;
      expect(layer('self_attn.k_proj')).toEqual(layer('self_attn.q_proj'));
      expect(layer('self_attn.o_proj')).not.toEqual(layer('self_attn.q_proj'));
      opened.model.dispose();
    }
    const [first, ...others] = results;
    for (const { config, layers } of others) {
      expect(config).toEqual(first?.config);
      for (const [path, { a, inFeatures }] of layers)
        expectClose(
          projector(a, inFeatures),
          projector(first?.layers.get(path)?.a ?? new Float32Array(), inFeatures),
          1e-4,
        );
    }
  },
);
