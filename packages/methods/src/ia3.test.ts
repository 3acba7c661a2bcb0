import type { Linear } from '@lowrank/nn';
import { Conv1d } from '@lowrank/nn';
import type { CheckpointTensor } from '@lowrank/patch';
import { fromNumbers, readTensor, setDefaultBackend, tensor, toFloat32 } from '@lowrank/tensor';
import { ReferenceBackend, sourceOf } from '@lowrank/tensor/op';
import { beforeAll, expect, test } from 'vitest';
import { ia3 } from './ia3.js';
import type { MergeBase } from './method.js';
import { hiddenOf, TinyModel, trainable } from './testing.js';

const path = 'model.layers.1.mlp.down_proj';
const key = (layer: string): string => `base_model.model.${layer}.ia3_l`;

beforeAll(() => setDefaultBackend(new ReferenceBackend()));

/** Other numbers than one in every vector. */
function stir(parameters: readonly { readonly parameter: { readonly tensor: ReturnType<typeof tensor> } }[]): void {
  for (const [at, { parameter }] of parameters.entries())
    sourceOf(parameter.tensor).write(
      Float32Array.from({ length: parameter.tensor.size }, (_, i) => 1 + 0.5 * Math.sin(at + i)),
    );
}

test('a vector of ones for PEFT’s targets changes nothing, and is all that trains', async () => {
  const model = new TinyModel();
  const before = await hiddenOf(model);
  const applied = await ia3.inject(model, { baseModel: 'some/base' });
  expect(await hiddenOf(model)).toEqual(before);
  const layers = [0, 1].flatMap((at) =>
    ['mlp.down_proj', 'self_attn.k_proj', 'self_attn.v_proj'].map((name) => `model.layers.${at}.${name}`),
  );
  expect(trainable(model)).toEqual(layers.map((layer) => `${layer}.ia3_l`));
  const { config, tensors } = await applied.extract();
  expect(config).toMatchObject({
    peft_type: 'IA3',
    target_modules: ['k_proj', 'v_proj', 'down_proj'],
    feedforward_modules: ['down_proj'],
    init_ia3_weights: true,
    fan_in_fan_out: false,
    base_model_name_or_path: 'some/base',
  });
  // Of a feed-forward module the input is multiplied.
  expect(tensors.get(key(path))?.shape).toEqual([1, 5]);
  expect(tensors.get(key('model.layers.0.self_attn.k_proj'))?.shape).toEqual([4, 1]);
  stir(applied.parameters);
  expect(await hiddenOf(model)).not.toEqual(before);
  applied.remove();
  expect(await hiddenOf(model)).toEqual(before);
});

test('merged, W and b are scaled: either way round, and in 16 bits', async () => {
  const model = new TinyModel({ biased: true });
  const turned = model.getModule('model.layers.0.self_attn.q_proj') as Linear;
  const values = await readTensor(turned.weight.tensor);
  const weight = Float32Array.from({ length: 48 }, (_, at) => values[(at % 8) * 6 + Math.floor(at / 8)] ?? NaN);
  model.setModule('model.layers.0.self_attn.q_proj', new Conv1d(tensor(weight, [6, 8]), turned.bias?.tensor));
  const parameters = [...model.namedParameters()];
  const tensors = await Promise.all(
    parameters.map(async ([name, { tensor: value }]): Promise<CheckpointTensor> => {
      const data = toFloat32(await readTensor(value), 'f32');
      const bytes = new Uint8Array(data.slice().buffer);
      return { name, dtype: 'F32', shape: value.shape, read: () => Promise.resolve(bytes) };
    }),
  );
  const options = { targetModules: ['q_proj', 'down_proj'], feedforwardModules: ['0.mlp.down_proj'] };
  const applied = await ia3.inject(model, options);
  stir(applied.parameters);
  const [want, stored] = [await hiddenOf(model), await applied.extract()];
  applied.remove();
  const base: MergeBase = {
    config: { model_type: 'llama' },
    tensors,
    outline: () => model,
    load: () => Promise.resolve(model),
  };
  const merged = await ia3.merge(stored, base);
  expect(merged.changed).toBe(4);
  expect(merged.config).toBe(base.config);
  for (const tensor of merged.tensors) {
    const parameter = new Map(model.namedParameters()).get(tensor.name);
    if (parameter !== undefined)
      sourceOf(parameter.tensor).write(new Float32Array((await tensor.read()).slice().buffer));
  }
  (await hiddenOf(model)).forEach((value, at) => expect(value).toBeCloseTo(want[at] ?? NaN, 5));
  const half = await ia3.merge(stored, {
    ...base,
    tensors: [
      {
        name: `${path}.weight`,
        dtype: 'BF16',
        shape: [6, 5],
        read: () => Promise.resolve(new Uint8Array(fromNumbers(new Float32Array(30).fill(1.5), 'bf16').buffer)),
      },
    ],
  });
  expect((await half.tensors[0]?.read())?.byteLength).toBe(60);
});

test('what does not fit the model or its configuration is refused', async () => {
  const attach = (layer: string, shape: readonly number[], more: object = {}): Promise<unknown> =>
    ia3.attach(new TinyModel(), {
      config: { peft_type: 'IA3', target_modules: [path], feedforward_modules: ['down_proj'], ...more },
      tensors: new Map([[key(layer), { shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) }]]),
    });
  await expect(attach(path, [1, 5])).resolves.toBeDefined();
  await expect(attach(path, [6, 1])).rejects.toThrow(/expected \[1, 5\], got \[6, 1\]/);
  await expect(attach(path, [6, 1], { feedforward_modules: null })).resolves.toBeDefined();
  await expect(attach('lm_head', [9, 1])).rejects.toThrow(/of the layers that target_modules names/);
  await expect(attach(path, [1, 5], { modules_to_save: ['lm_head'] })).rejects.toThrow(/modules_to_save/);
  const inject = (targetModules: readonly string[]): Promise<unknown> => ia3.inject(new TinyModel(), { targetModules });
  await expect(inject(['lm_head'])).rejects.toThrow(/IA³ at lm_head/);
  await expect(inject(['embed_tokens'])).rejects.toThrow(/a linear layer, got an embedding/);
  const other = new TinyModel();
  Object.assign(other.shape, { modelType: 'mamba' });
  await expect(ia3.inject(other)).rejects.toThrow(/IA³ in a mamba: expected target modules/);
});
