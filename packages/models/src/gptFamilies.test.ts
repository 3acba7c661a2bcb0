import { bytesSource, openSafetensors, serializeSafetensors } from '@lowrank/safetensors';
import type { Tensor } from '@lowrank/tensor';
import { grad, mul, reshape, tensor } from '@lowrank/tensor';
import { evaluateReference, ReferenceBackend, topological } from '@lowrank/tensor/op';
import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import type { CausalModel } from './causalModel.js';
import { filesBy, openFolder } from './files.js';
import { generate } from './generate.js';
import { createModel } from './createModel.js';
import { loadCausalModel } from './load.js';
import { goldenBatch, goldenFloats, goldenFolder, openGolden } from './testing.js';

/** GPT-2 and GPT-NeoX against transformers: models that it made (parity/gptFamilies.py). */
const variants = ['gpt2', 'gpt2Untied', 'gpt2Unscaled', 'gptNeox', 'gptNeoxSequential'];

const open = async (variant: string): Promise<CausalModel> =>
  loadCausalModel(await openFolder(goldenFolder(variant, 'gpt')));

/** transformers computes in f32, the reference in f64: a few roundings of the largest value. */
function expectClose(got: ArrayLike<number>, want: ArrayLike<number>, tolerance: number): void {
  expect(got.length).toBe(want.length);
  const scale = Math.max(...Array.from(want, Math.abs));
  for (let i = 0; i < want.length; i++)
    expect(Math.abs((got[i] ?? NaN) - (want[i] ?? NaN))).toBeLessThan(tolerance * scale);
}

describe.each(variants)('%s as transformers computes it', (variant) => {
  test.each(['plain', 'packed'] as const)('logits and loss of the %s batch', async (kind) => {
    const golden = await openGolden(variant, 'gpt');
    const model = await open(variant);
    const batch = await goldenBatch(golden, kind);
    const { ids, positions, segments } = batch;
    const logits = model.logits(
      reshape(model.hidden(ids, { positions, segments }), [ids.size, model.shape.hiddenSize]),
    );
    const [values = [], loss] = await evaluateReference([logits, model.loss(batch)]);
    expectClose(values, await goldenFloats(golden, `base.${kind}.logits`), 5e-6);
    const { loss: mean, tokens } = golden.answers.base[kind];
    expect(Math.abs((loss?.[0] ?? NaN) / tokens / mean - 1)).toBeLessThan(2e-6);
  });

  test('the gradient of every weight', async () => {
    const golden = await openGolden(variant, 'gpt');
    const model = await open(variant);
    const loss = mul(model.loss(await goldenBatch(golden, 'plain')), 1 / golden.answers.base.plain.tokens);
    const named = [...model.namedParameters()];
    const gradients = await evaluateReference(
      grad(
        loss,
        named.map(([, { tensor }]) => tensor),
      ),
    );
    for (const [at, [name]] of named.entries())
      expectClose(
        gradients[at] ?? [],
        await goldenFloats(golden, `base.grad.${name.replace('embed_out', 'lm_head')}`),
        1e-5,
      );
    expect(named.length).toBe([...golden.file.tensors.keys()].filter((key) => key.startsWith('base.grad.')).length);
  });

  test('greedy text by a cache, as planned', async () => {
    const { answers } = await openGolden(variant, 'gpt');
    const texts = await generate(
      await open(variant),
      { backend: new ReferenceBackend(), prompts: answers.greedy.base.map(({ promptIds }) => promptIds) },
      { maxNewTokens: 8 },
    );
    expect(texts).toEqual(answers.greedy.base.map(({ ids }) => ids.slice(0, 8)));
  });
});

/** The golden checkpoint with its tensors under other names, and some more. */
async function renamedCheckpoint(
  variant: string,
  rename: (name: string) => string,
  more: readonly string[],
): Promise<CausalModel> {
  const folder = goldenFolder(variant, 'gpt');
  const file = await openSafetensors(bytesSource(await readFile(`${folder}/model.safetensors`), variant));
  const entries = await Promise.all(
    [...file.tensors].map(async ([name, { shape }]) => ({
      name: rename(name),
      dtype: 'F32' as const,
      shape,
      data: new Uint8Array(await file.read(name)),
    })),
  );
  const buffers = more.map((name) => ({ name, dtype: 'F32' as const, shape: [1], data: new Uint8Array(4) }));
  return loadCausalModel(
    filesBy(
      {
        'config.json': bytesSource(await readFile(`${folder}/config.json`), 'config.json'),
        'model.safetensors': bytesSource(serializeSafetensors([...entries, ...buffers]), 'model.safetensors'),
      },
      variant,
    ),
  );
}

test.each([
  ['gpt2', 'transformer.', ['h.0.attn.bias', 'h.1.attn.masked_bias', 'h.0.attn.masked_bias']],
  ['gpt2Untied', 'transformer.', ['h.0.attn.bias']],
  [
    'gptNeox',
    'gpt_neox.',
    ['layers.0.attention.bias', 'layers.0.attention.masked_bias', 'layers.1.attention.rotary_emb.inv_freq'],
  ],
  ['gptNeoxSequential', 'gpt_neox.', []],
])('%s: a checkpoint without %s, with the masks and tables that old ones hold', async (variant, prefix, more) => {
  const batch = await goldenBatch(await openGolden(variant, 'gpt'), 'plain');
  const whole = await open(variant);
  const bare = await renamedCheckpoint(
    variant,
    (name) => name.replace(prefix, '').replace('embed_out', 'lm_head'),
    more,
  );
  const [a, b] = await evaluateReference([whole.loss(batch), bare.loss(batch)]);
  expect(a).toEqual(b);
  await expect(
    renamedCheckpoint(
      variant,
      (name) => name,
      more.map((name) => `${prefix}${name}`.replace(/^\w+\.(lm_head|embed_out)/, '$1')),
    ),
  ).resolves.toBeDefined();
});

test('what is no weight of the model is still refused', async () => {
  await expect(renamedCheckpoint('gpt2', (name) => name, ['transformer.h.0.attn.c_attn.scale'])).rejects.toThrow(
    /unexpected: transformer\.h\.0\.attn\.c_attn\.scale/,
  );
  await expect(
    renamedCheckpoint('gpt2', (name) => name.replace('h.1.mlp.c_fc.bias', 'h.7.mlp.c_fc.bias'), []),
  ).rejects.toThrow(/missing: transformer\.h\.1\.mlp\.c_fc\.bias \[96\]/);
});

test.each([
  ['gpt2-bf16', 'bf16'],
  ['gpt2-f16', 'f16'],
])('%s keeps its matrices in %s and computes as if they were widened', async (variant, dtype) => {
  const batch = await goldenBatch(await openGolden('gpt2', 'gpt'), 'plain');
  const narrow = await open(variant);
  const wide = await loadCausalModel(await openFolder(goldenFolder(variant, 'gpt')), { widen: true });
  for (const [name, { tensor }] of narrow.namedParameters())
    expect([name, tensor.dtype]).toEqual([name, tensor.shape.length === 1 ? 'f32' : dtype]);
  const [a, b] = await evaluateReference([narrow.loss(batch), wide.loss(batch)]);
  expect(a).toEqual(b);
});

test('a checkpoint that transformers quantized, codes of the transposed layers', async () => {
  const file = await openSafetensors(
    bytesSource(await readFile(goldenFolder('answers/gpt2Untied-nf4.safetensors', 'gpt')), 'answers'),
  );
  const read = async (name: string): Promise<Tensor> =>
    tensor(new Int32Array(new Uint8Array(await file.read(name)).buffer), file.tensors.get(name)?.shape ?? []);
  const [ids, positions, model] = [await read('ids'), await read('positions'), await open('gpt2Untied-nf4')];
  const [logits = []] = await evaluateReference([
    model.logits(reshape(model.hidden(ids, { positions }), [ids.size, model.shape.hiddenSize])),
  ]);
  expectClose(logits, new Float32Array(new Uint8Array(await file.read('logits')).buffer), 1e-5);
});

const small = {
  gpt2: { model_type: 'gpt2', vocab_size: 9, n_embd: 4, n_layer: 1, n_head: 2, n_positions: 8 },
  gpt_neox: {
    model_type: 'gpt_neox',
    vocab_size: 9,
    hidden_size: 8,
    intermediate_size: 8,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    max_position_embeddings: 8,
    rotary_pct: 0.5,
  },
};
const build = (type: keyof typeof small, over: Record<string, unknown> = {}): CausalModel =>
  createModel({ ...small[type], ...over }, ({ shape }) => new Float32Array(shape.reduce((a, b) => a * b, 1)));

test.each<[keyof typeof small, Record<string, unknown>, RegExp]>([
  ['gpt2', { add_cross_attention: true }, /add_cross_attention.*false/],
  ['gpt2', { activation_function: 'quick_gelu' }, /activation_function.*gelu_new.*quick_gelu/],
  ['gpt2', { activation_function: 'constructor' }, /activation_function.*constructor/],
  ['gpt2', { n_head: 3 }, /n_head.*divisor of the hidden size \(4\)/],
  ['gpt2', { quantization_config: undefined, n_layer: 0 }, /n_layer.*above 0/],
  ['gpt_neox', { hidden_act: 'mish' }, /hidden_act.*mish/],
  ['gpt_neox', { num_attention_heads: 3 }, /num_attention_heads.*divisor of hidden_size \(8\)/],
  ['gpt_neox', { rotary_pct: 0.3 }, /partial_rotary_factor.*even number of elements to turn.*1/],
  ['gpt_neox', { rope_scaling: { type: 'longrope', factor: 2 } }, /longrope/],
])('%s with %j is refused by name', (type, over, message) => expect(() => build(type, over)).toThrow(message));

test('old and new spellings of rotary positions are one', () => {
  const old = build('gpt_neox', { rotary_emb_base: 5000, rope_scaling: { type: 'linear', factor: 2 } });
  const now = build('gpt_neox', {
    rotary_pct: undefined,
    rope_parameters: { rope_type: 'linear', factor: 2, rope_theta: 5000, partial_rotary_factor: 0.5 },
  });
  expect(old.shape).toMatchObject({ rotary: { size: 2, theta: 5000, scaling: { type: 'linear', factor: 2 } } });
  expect(now.shape).toMatchObject({ rotary: (old.shape as unknown as { rotary: object }).rotary });
  expect(build('gpt_neox', { rotary_pct: undefined, hidden_size: 16 }).shape).toMatchObject({
    rotary: { size: 2, theta: 10_000 },
  });
});

test('the graph carries module paths', async () => {
  const batch = await goldenBatch(await openGolden('gpt2', 'gpt'), 'plain');
  const scopesOf = (model: CausalModel): string[] =>
    topological([model.hidden(batch.ids, { positions: batch.positions })]).map((node) =>
      node.kind === 'op' ? node.scope : '',
    );
  for (const path of [
    'transformer.wpe',
    'transformer.h.0.attn.c_attn',
    'transformer.h.1.mlp.c_proj',
    'transformer.h.1.ln_2',
    'transformer.ln_f',
  ])
    expect(scopesOf(await open('gpt2'))).toContain(path);
  for (const path of [
    'gpt_neox.embed_in',
    'gpt_neox.layers.0.attention.query_key_value',
    'gpt_neox.layers.1.mlp.dense_4h_to_h',
    'gpt_neox.final_layer_norm',
  ])
    expect(scopesOf(await open('gptNeox'))).toContain(path);
});
