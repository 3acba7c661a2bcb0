import { sourceOf } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { biasShifts } from './biasShifts.js';
import { bitfit } from './bitfit.js';
import { hiddenOf, TinyModel, trainable } from './testing.js';

const linear = [
  'self_attn.q_proj',
  'self_attn.k_proj',
  'self_attn.v_proj',
  'self_attn.o_proj',
  'mlp.gate_proj',
  'mlp.up_proj',
  'mlp.down_proj',
];
const norms = ['input_layernorm', 'post_attention_layernorm'];
const inLayers = (names: readonly string[]): string[] =>
  [0, 1].flatMap((at) => names.map((name) => `model.layers.${at}.${name}`)).sort();

test('a model without biases gets them on every linear layer but the output projection, in BEFT’s format', async () => {
  const model = new TinyModel();
  const before = await hiddenOf(model);
  const tuning = await bitfit.inject(model);
  expect(trainable(model)).toEqual(inLayers(linear).map((path) => `${path}.beft_bias`));
  expect((await tuning.extract()).config).toMatchObject({
    peft_type: 'BEFT',
    target_modules: ['down_proj', 'gate_proj', 'k_proj', 'o_proj', 'q_proj', 'up_proj', 'v_proj'],
  });
  // They begin at zero.
  expect(await hiddenOf(model)).toEqual(before);
  const adapter = await tuning.extract();
  expect(adapter.tensors.get('base_model.model.model.layers.1.mlp.down_proj.beft_bias')).toEqual({
    shape: [1, 6],
    data: new Float32Array(6),
  });
  expect([...biasShifts(adapter).keys()].sort()).toEqual(inLayers(linear));
  for (const { parameter } of tuning.parameters)
    sourceOf(parameter.tensor).write(new Float32Array(parameter.tensor.size).fill(0.1));
  expect(await hiddenOf(model)).not.toEqual(before);
  tuning.remove();
  expect(await hiddenOf(model)).toEqual(before);
});

test('a model with biases trains those that it has, its norms’ too, in a format that PEFT refuses', async () => {
  const tuning = await bitfit.inject(new TinyModel({ biased: true }));
  expect(new Set(tuning.parameters.map(({ name }) => name))).toEqual(
    new Set(inLayers([...linear, ...norms]).map((path) => `${path}.bias_shift`)),
  );
  expect((await tuning.extract()).config['peft_type']).toBe('BITFIT');
});

test('targets take the place of all that', async () => {
  const one = await bitfit.inject(new TinyModel({ biased: true }), { targetModules: ['v_proj'] });
  expect(one.parameters.map(({ name }) => name)).toEqual(
    inLayers(['self_attn.v_proj']).map((path) => `${path}.beft_bias`),
  );
  expect((await one.extract()).config).toMatchObject({ peft_type: 'BEFT', target_modules: ['v_proj'] });
  // A name that would mean more than these layers is no name for them.
  const first = await bitfit.inject(new TinyModel(), { targetModules: ['layers.0.mlp.up_proj'] });
  expect((await first.extract()).config['target_modules']).toEqual(['model.layers.0.mlp.up_proj']);
  await expect(bitfit.inject(new TinyModel(), { targetModules: ['v_prj'] })).rejects.toThrow(/v_prj/);
  await expect(bitfit.inject(new TinyModel(), { targetModules: ['lm_head'] })).rejects.toThrow(
    /BitFit at lm_head.*below the output projection/,
  );
});

test('what belongs to no layer of the model, or does not fit it, is refused', async () => {
  const attach = (key: string, shape: readonly number[], more: object = {}): Promise<unknown> =>
    bitfit.attach(new TinyModel(), {
      config: { peft_type: 'BEFT', target_modules: ['q_proj'], ...more },
      tensors: new Map([[key, { shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) }]]),
    });
  const key = 'base_model.model.model.layers.0.self_attn.q_proj.beft_bias';
  await expect(attach(key, [1, 8])).resolves.toBeDefined();
  await expect(attach(key, [1, 6])).rejects.toThrow(/expected \[1, 8\], got \[1, 6\]/);
  await expect(attach(key.replace('q_proj', 'x_proj'), [1, 8])).rejects.toThrow(/x_proj.*no such layer/);
  await expect(attach('base_model.model.lm_head.beft_bias', [1, 9])).rejects.toThrow(/takes no bias/);
  await expect(attach('base_model.model.model.embed_tokens.beft_bias', [1, 6])).rejects.toThrow(/takes no bias/);
  await expect(attach(key, [1, 8], { modules_to_save: ['lm_head'] })).rejects.toThrow(/modules_to_save/);
  await expect(attach(key, [1, 8], { target_modules: 3 })).rejects.toThrow(/target_modules/);
});
