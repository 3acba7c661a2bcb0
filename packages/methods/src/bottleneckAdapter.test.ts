import { Linear } from '@lowrank/nn';
import { tensor } from '@lowrank/tensor';
import { evaluateReference, sourceOf } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { bottleneckAdapter } from './bottleneckAdapter.js';
import { BottleneckLayer } from './bottleneckLayer.js';
import { hiddenOf, TinyModel, trainable } from './testing.js';

test('h + U·gelu(D·h + b_d) + b_u', async () => {
  const base = new Linear(tensor(Float32Array.of(1, 0, 0, 1), [2, 2]));
  const layer = new BottleneckLayer(base, {
    down: tensor(Float32Array.of(2, -1), [1, 2]),
    downBias: tensor(Float32Array.of(0.5)),
    up: tensor(Float32Array.of(3, 4), [2, 1]),
    upBias: tensor(Float32Array.of(10, 20)),
  });
  const [y] = await evaluateReference([layer.forward(tensor(Float32Array.of(1, 1.5), [1, 2]))]);
  // D·h + b_d = 1; gelu(1) = Φ(1).
  const inner = 0.8413447460685429;
  [1 + 3 * inner + 10, 1.5 + 4 * inner + 20].forEach((want, at) =>
    expect(Math.abs((y?.[at] ?? NaN) - want)).toBeLessThan(1e-6),
  );
});

test('after the output projections of attention and MLP; it begins as nothing', async () => {
  const model = new TinyModel();
  const before = await hiddenOf(model);
  const tuning = await bottleneckAdapter.inject(model, { bottleneck: 3, seed: 1 });
  const paths = [0, 1].flatMap((at) => [`model.layers.${at}.mlp.down_proj`, `model.layers.${at}.self_attn.o_proj`]);
  expect(trainable(model)).toEqual(
    paths.flatMap((path) =>
      ['adapter_down.bias', 'adapter_down.weight', 'adapter_up.bias', 'adapter_up.weight'].map(
        (part) => `${path}.${part}`,
      ),
    ),
  );
  expect(await hiddenOf(model)).toEqual(before);
  expect((await tuning.extract()).config).toMatchObject({
    peft_type: 'HOULSBY_ADAPTER',
    bottleneck_size: 3,
    activation: 'gelu',
    target_modules: ['o_proj', 'down_proj'],
  });
  const { tensors } = await tuning.extract();
  const down = tensors.get('base_model.model.model.layers.0.self_attn.o_proj.adapter_down.weight');
  expect(down?.shape).toEqual([3, 6]);
  expect(down?.data.some((value) => value !== 0) === true && down.data.every((value) => Math.abs(value) < 0.1)).toBe(
    true,
  );
  for (const { parameter } of tuning.parameters)
    sourceOf(parameter.tensor).write(new Float32Array(parameter.tensor.size).fill(0.3));
  expect(await hiddenOf(model)).not.toEqual(before);
  tuning.remove();
  expect(await hiddenOf(model)).toEqual(before);
});

test('what cannot be is refused', async () => {
  const inject = (settings: Parameters<typeof bottleneckAdapter.inject>[1]): Promise<unknown> =>
    bottleneckAdapter.inject(new TinyModel(), settings);
  await expect(inject({ bottleneck: 0 })).rejects.toThrow(/width of the bottleneck.*at least 1/);
  await expect(inject({ targetModules: ['embed_tokens'] })).rejects.toThrow(/embed_tokens.*linear layer/);
  await expect(inject({ targetModules: ['lm_head'] })).rejects.toThrow(
    /bottleneck adapters at lm_head.*below the output projection/,
  );
  const made = await bottleneckAdapter.inject(new TinyModel(), { bottleneck: 2 });
  const { config, tensors } = await made.extract();
  const attach = (given: object, held = tensors): Promise<unknown> =>
    bottleneckAdapter.attach(new TinyModel(), { config: { ...config, ...given }, tensors: held });
  await expect(attach({})).resolves.toBeDefined();
  await expect(attach({ activation: 'relu' })).rejects.toThrow(/activation.*"gelu"/);
  await expect(attach({ bottleneck_size: 3 })).rejects.toThrow(/expected \[3, 6\], got \[2, 6\]/);
  await expect(attach({ target_modules: ['o_proj'] })).rejects.toThrow(/down_proj.*target_modules/);
  await expect(attach({}, new Map([...tensors].slice(1)))).rejects.toThrow(/got nothing/);
});
