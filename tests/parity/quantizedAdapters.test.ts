import { readFile } from 'node:fs/promises';
import { createCpuBackend } from '@lowrank/cpu';
import { serializeAdapter } from '@lowrank/lora';
import type { CausalModel } from '@lowrank/models';
import { loadCausalModel, openFolder, openModelWeights } from '@lowrank/models';
import type { LoftqBase } from '@lowrank/patch';
import { adaptedLayers, addAdapter, loadAdapter, mergedTensors, saveAdapter } from '@lowrank/patch';
import type { Floats, QuantizationSettings, QuantizedTensor } from '@lowrank/quant';
import { dequantize, operandOf, quantize, QuantizedLinear } from '@lowrank/quant';
import { fileSource, openSafetensors } from '@lowrank/safetensors';
import type { SafetensorsFile } from '@lowrank/safetensors';
import type { Backend } from '@lowrank/tensor';
import { readTensor, tensor } from '@lowrank/tensor';
import { decodeMatrix, sourceOf } from '@lowrank/tensor/op';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectClose, floats, golden, gradientsOf, logitsOf, readFolder, readJson, trainFive } from './variantCases';

/** Adapters over codes, against PEFT over what the codes stand for: parity/quantizedAdapters.py. */
const settingsOf: Readonly<Record<string, QuantizationSettings>> = {
  nf4: { type: 'nf4' },
  nf4Double: { type: 'nf4', doubleQuantization: true },
  fp4: { type: 'fp4' },
  int8: { type: 'int8' },
};
const base = `${golden}llama/untied`;

interface Case {
  readonly losses: readonly number[];
  readonly settings: QuantizationSettings;
  readonly file: SafetensorsFile;
  readonly model: CausalModel;
}

let backend: Backend;
beforeAll(async () => (backend = await createCpuBackend()));
afterAll(() => backend.dispose());

async function open(name: string): Promise<Case> {
  const { losses, quantization } = await readJson<{ losses: number[]; quantization: string }>(
    `${golden}quantizedAdapters/${name}.json`,
  );
  const settings = settingsOf[quantization] ?? { type: 'nf4' };
  return {
    losses,
    settings,
    file: await openSafetensors(fileSource(`${golden}quantizedAdapters/${name}.safetensors`)),
    model: await loadCausalModel(await openFolder(base), { quantization: settings }),
  };
}

async function expectFive({ model, losses, file }: Case, parameters: Parameters<typeof trainFive>[2]): Promise<void> {
  (await trainFive(backend, model, parameters)).forEach((got, at) =>
    expect(Math.abs(got / (losses[at] ?? NaN) - 1)).toBeLessThan(2e-5),
  );
  expectClose(await logitsOf(backend, model), await floats(file, 'logits.trained'), 1e-4);
}

/** The model over the weights that its codes stand for, with an adapter merged into them. */
async function mergedLogits(model: CausalModel, adapter: Parameters<typeof mergedTensors>[1]): Promise<Float32Array> {
  const plain = await loadCausalModel(await openFolder(base));
  const weights = new Map<string, Uint8Array>();
  for (const [path, layer] of model.namedModules()) {
    if (!(layer instanceof QuantizedLinear)) continue;
    weights.set(
      path.replace('.base_layer', ''),
      new Uint8Array(Float32Array.from(await readTensor(decodeMatrix(layer.matrix))).buffer),
    );
  }
  const parameters = new Map(plain.namedParameters());
  const tensors = [...weights].map(([path, data]) => ({
    name: `${path}.weight`,
    dtype: 'F32' as const,
    shape: parameters.get(`${path}.weight`)?.tensor.shape ?? [],
    read: () => Promise.resolve(data),
  }));
  for (const merged of mergedTensors(tensors, adapter)) {
    const parameter = parameters.get(merged.name);
    if (parameter !== undefined)
      parameter.tensor = tensor(new Float32Array(new Uint8Array(await merged.read()).buffer), merged.shape);
  }
  return logitsOf(backend, plain);
}

test.each(['nf4', 'nf4Double', 'fp4', 'int8', 'doraNf4', 'doraInt8'])(
  '%s: logits, every gradient, five steps, and the file, as PEFT has them over the same weights',
  async (name) => {
    const opened = await open(name);
    const { model, file } = opened;
    const folder = `${golden}quantizedAdapters/${name}`;
    const adapter = await readFolder(folder);
    const { parameters } = await loadAdapter(model, adapter);
    expect([...adaptedLayers(model).values()].every((layer) => layer.base instanceof QuantizedLinear)).toBe(true);
    expectClose(await logitsOf(backend, model), await floats(file, 'logits.start'), 2e-5);
    const gradients = await gradientsOf(backend, model, parameters);
    expect([...gradients.keys()].map((key) => `grad.${key}`).sort()).toEqual(
      [...file.tensors.keys()].filter((key) => key.startsWith('grad.')).sort(),
    );
    for (const [key, gradient] of gradients) expectClose(gradient, await floats(file, `grad.${key}`), 1e-4);
    expect(
      Buffer.compare(
        Buffer.from(serializeAdapter(await saveAdapter(model))['adapter_model.safetensors'] ?? []),
        await readFile(`${folder}/adapter_model.safetensors`),
      ),
    ).toBe(0);
    await expectFive(opened, parameters);
    expectClose(await mergedLogits(model, await saveAdapter(model)), await floats(file, 'logits.merged'), 1e-4);
    model.dispose();
  },
);

test.each([
  ['loftq', 1],
  ['loftqMore', 3],
] as const)('%s: LoftQ begins, trains, saves and merges as PEFT’s', async (name, iterations) => {
  const opened = await open(name);
  const { model, settings, file } = opened;
  const folder = `${golden}quantizedAdapters/${name}`;
  // As PEFT's own example saves it: nothing is to be quantized again when it is loaded.
  const theirs = await readFolder(folder, { init_lora_weights: true });
  const { file: stored } = await openModelWeights(await openFolder(base));
  const config = { ...theirs.config, init: 'loftq' as const };
  const { parameters } = await addAdapter(model, config, {
    loftq: {
      iterations,
      base: async (path, layer): Promise<LoftqBase> => {
        const info = stored.tensors.get(`${path}.weight`);
        if (!(layer instanceof QuantizedLinear) || info === undefined) throw new Error(path);
        const weight = new Float32Array(new Uint8Array(await stored.read(info.name)).buffer);
        let last: QuantizedTensor | undefined;
        return {
          weight,
          roundTrip: (values) =>
            dequantize(
              (last = quantize(values as Floats, { ...settings, shape: info.shape, dtype: 'f32' })),
            ) as Float32Array,
          keep: () => {
            if (last !== undefined)
              operandOf(last).parts.forEach(
                (part, at) => layer.matrix.parts[at] !== undefined && sourceOf(layer.matrix.parts[at]).write(part),
              );
          },
        };
      },
    },
  });
  // After the first round the largest of a block may be another in its last bits.
  expectClose(await logitsOf(backend, model), await floats(file, 'logits.start'), 1e-4);
  const ours = await saveAdapter(model);
  expect(
    new Map(
      [...ours.layers].map(([path, { rank, inFeatures, outFeatures }]) => [path, [rank, inFeatures, outFeatures]]),
    ),
  ).toEqual(
    new Map(
      [...theirs.layers].map(([path, { rank, inFeatures, outFeatures }]) => [path, [rank, inFeatures, outFeatures]]),
    ),
  );
  expect([...(await openSafetensors(fileSource(`${folder}/adapter_model.safetensors`))).tensors.keys()].sort()).toEqual(
    [...ours.layers.keys()]
      .flatMap((path) => ['lora_A', 'lora_B'].map((half) => `base_model.model.${path}.${half}.weight`))
      .sort(),
  );
  await expectFive(opened, parameters);
  expectClose(await mergedLogits(model, await saveAdapter(model)), await floats(file, 'logits.merged'), 1e-4);
  model.dispose();
  if (iterations > 1) return;
  const again = await open(name);
  await loadAdapter(again.model, theirs);
  expectClose(await logitsOf(backend, again.model), await floats(file, 'logits.start'), 2e-5);
  again.model.dispose();
});
