import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { readAdapter } from '@lowrank/lora';
import { loadCausalModel, openFolder } from '@lowrank/models';
import { loadAdapter } from '@lowrank/patch';
import { fileSource, openSafetensors } from '@lowrank/safetensors';
import type { Tensor } from '@lowrank/tensor';
import { compile, grad, reshape, slice, square, sum, tensor } from '@lowrank/tensor';
import { createWebgpuBackend } from '@lowrank/webgpu';
import { expect, test } from 'vitest';

const golden = fileURLToPath(new URL('../../parity/golden/', import.meta.url));

test('DoRA on WebGPU: the logits of PEFT, and gradients of A, B and magnitudes', async () => {
  const backend = await createWebgpuBackend({ allowSoftware: true, limits: 'default' });
  const model = await loadCausalModel(await openFolder(`${golden}llama/untied`));
  const config: unknown = JSON.parse(await readFile(`${golden}variants/dora/adapter_config.json`, 'utf8'));
  const { parameters: trained } = await loadAdapter(
    model,
    await readAdapter({
      config,
      weights: fileSource(`${golden}variants/dora/adapter_model.safetensors`),
      name: 'dora',
    }),
  );
  const { rows } = JSON.parse(await readFile(`${golden}variants/rows.json`, 'utf8')) as { rows: { ids: number[] }[] };
  const ids = Int32Array.from(rows[0]?.ids ?? []).slice(0, 5);
  const logits = (): Tensor =>
    model.logits(
      reshape(model.hidden(tensor(ids, [1, 5]), { positions: tensor(Int32Array.of(0, 1, 2, 3, 4), [1, 5]) }), [
        5,
        model.shape.hiddenSize,
      ]),
    );
  const step = compile(backend, (): Record<string, Tensor> => {
    const y = logits();
    const gradients = grad(
      sum(square(slice(y, 0, 4, 5))),
      trained.map(({ parameter }) => parameter.tensor),
    );
    return {
      y,
      ...Object.fromEntries(gradients.map((gradient, at) => [trained[at]?.name ?? '', sum(square(gradient))])),
    };
  });
  const results = await step.run();
  const y = Float32Array.from((await results['y']) ?? []);
  const file = await openSafetensors(fileSource(`${golden}variants/dora.safetensors`));
  const want = new Float32Array(new Uint8Array(await file.read('logits.start')).buffer);
  // The golden has every fourth row.
  for (const row of [0, 1])
    for (let i = 0; i < 96; i++)
      expect(Math.abs((y[row * 4 * 96 + i] ?? NaN) - (want[row * 96 + i] ?? NaN))).toBeLessThan(2e-4);
  for (const { name } of trained) {
    const [size = NaN] = Float32Array.from((await results[name]) ?? []);
    expect(Number.isFinite(size) && size > 0).toBe(true);
  }
  await step.dispose();
  model.dispose();
  backend.dispose();
});
