import { expect, test } from 'vitest';
import type { ModelToConvert, StoredTensor } from './convertModel.js';
import { convertModel } from './convertModel.js';
import type { Json } from './json.js';
import { sizeLabel } from './sizeLabel.js';

const config: Json = {
  model_type: 'llama',
  hidden_size: 8,
  num_attention_heads: 2,
  num_hidden_layers: 1,
  intermediate_size: 4,
  vocab_size: 4,
};
const architecture = {
  architecture: 'llama',
  tensors: {
    'model.norm': 'output_norm',
    'model.layers.{i}.self_attn.q_proj': 'blk.{i}.attn_q',
    'model.layers.{i}.self_attn.k_proj': 'blk.{i}.attn_k',
    'model.layers.{i}.self_attn.v_proj': 'blk.{i}.attn_v',
    lm_head: 'output',
  },
  interleavedHeads: true,
  model: { maxPositions: 2048 },
};
const tokenizerJson: Json = {
  model: { type: 'BPE', vocab: { a: 0, b: 1, ab: 2 }, merges: [['a', 'b']] },
  added_tokens: [],
};

function stored(name: string, values: readonly number[], shape: readonly number[]): StoredTensor {
  return { name, dtype: 'F32', shape, read: () => Promise.resolve(new Uint8Array(Float32Array.from(values).buffer)) };
}

const convert = (change: Partial<ModelToConvert> = {}, configChange: Json = {}): ReturnType<typeof convertModel> =>
  convertModel({
    config: { ...config, ...configChange },
    architecture,
    tensors: [],
    vocabulary: { tokenizerJson, preTokenizer: 'gpt-2' },
    name: 'x',
    ...change,
  });

async function floats(model: ReturnType<typeof convertModel>, at = 0): Promise<number[]> {
  const bytes = await (await model).tensors[at]?.read();
  return [...new Float32Array(new Uint8Array(bytes ?? []).buffer)];
}

test('query rows: the halves of each head are interleaved; biases too; values as they are', async () => {
  const rows = [0, 1, 2, 3, 4, 5, 6, 7];
  const tensors = [
    stored(
      'model.layers.0.self_attn.q_proj.weight',
      rows.flatMap((row) => [row, row + 0.5]),
      [8, 2],
    ),
    stored('model.layers.0.self_attn.k_proj.bias', rows, [8]),
    stored('model.layers.0.self_attn.v_proj.bias', rows, [8]),
  ];
  expect(await floats(convert({ tensors, type: 'F32' }), 0)).toEqual(
    [0, 2, 1, 3, 4, 6, 5, 7].flatMap((row) => [row, row + 0.5]),
  );
  expect(await floats(convert({ tensors }), 1)).toEqual([0, 2, 1, 3, 4, 6, 5, 7]);
  expect(await floats(convert({ tensors }), 2)).toEqual(rows);
  expect(await floats(convert({ tensors }, { num_key_value_heads: 1 }), 1)).toEqual([0, 4, 1, 5, 2, 6, 3, 7]);
});

test('what f16 cannot hold is an error; infinity itself is not', async () => {
  const of = (value: number): Promise<Uint8Array | undefined> =>
    convert({ tensors: [stored('lm_head.weight', [1, value], [1, 2])] }).then(({ tensors }) => tensors[0]?.read());
  await expect(of(65_520)).rejects.toMatchObject({ code: 'gguf.overflow', what: 'lm_head.weight at 1' });
  expect([...((await of(Infinity)) ?? [])]).toEqual([0, 0x3c, 0, 0x7c]);
  expect([...((await of(65_519)) ?? [])]).toEqual([0, 0x3c, 0xff, 0x7b]);
});

test.each([
  [{ sliding_window: 4096 }, 'gguf.config', '4096'],
  [{ rope_scaling: { type: 'dynamic', factor: 2 } }, 'gguf.config', '"dynamic"'],
  [{ quantization_config: { load_in_4bit: true } }, 'gguf.config', '{"load_in_4bit":true}'],
  [{ hidden_size: 'big' }, 'gguf.config', '"big"'],
])('a config with %j is refused', async (change, code, got) => {
  await expect(convert({}, change)).rejects.toMatchObject({ code, got });
});

test('the vocabulary is as large as the table, and within reason without one', async () => {
  const table = stored('model.embed_tokens.weight', [1, 2, 3, 4, 5], [5, 1]);
  const known = { ...architecture, tensors: { ...architecture.tensors, 'model.embed_tokens': 'token_embd' } };
  await expect(convert({ tensors: [table], architecture: known })).rejects.toMatchObject({
    code: 'gguf.config',
    expected: 'the 5 rows of the table of embeddings',
    got: '4',
  });
  for (const size of [9.6e10, 4.5])
    await expect(convert({}, { vocab_size: size })).rejects.toMatchObject({ code: 'gguf.config', got: String(size) });
});

test('a vocabulary of 200,000 tokens', async () => {
  const vocab = Object.fromEntries(Array.from({ length: 200_000 }, (_, id) => [`t${id}`, id]));
  const many = { tokenizerJson: { model: { type: 'BPE', vocab, merges: [] } }, preTokenizer: 'gpt-2' };
  const { metadata } = await convert({ vocabulary: many }, { vocab_size: 200_000 });
  expect(metadata.get('tokenizer.ggml.tokens')?.value).toHaveLength(200_000);
});

test('a family whose whole models llama.cpp has no names for is refused', async () => {
  for (const known of [undefined, { ...architecture, model: undefined }])
    await expect(convert({ architecture: known }, { model_type: 'qwen2' })).rejects.toMatchObject({
      code: 'gguf.architecture',
      got: 'qwen2',
    });
});

test('an architecture has metadata under its own name, and its own factors', async () => {
  const scaled = {
    ...architecture,
    architecture: 'granite',
    model: { maxPositions: 64, factors: { 'attention.scale': 'attention_multiplier', logit_scale: 'logits_scaling' } },
  };
  const { metadata } = await convert({ architecture: scaled }, { attention_multiplier: 0.5 });
  expect(metadata.get('general.architecture')?.value).toBe('granite');
  expect(metadata.get('granite.context_length')).toEqual({ type: 'u32', value: 64 });
  expect(metadata.get('granite.attention.scale')).toEqual({ type: 'f32', value: 0.5 });
  expect(metadata.get('granite.logit_scale')).toEqual({ type: 'f32', value: 1 });
});

test('weights without a name in llama.cpp, and of another dtype, are refused', async () => {
  await expect(convert({ tensors: [stored('model.layers.0.mlp.experts.0.weight', [1], [1])] })).rejects.toMatchObject({
    code: 'gguf.name',
  });
  const packed: StoredTensor = { ...stored('model.norm.weight', [1], [1]), dtype: 'U8' };
  const [tensor] = (await convert({ tensors: [packed] })).tensors;
  await expect(tensor?.read()).rejects.toMatchObject({ code: 'gguf.dtype', got: 'U8' });
});

test('linear scaling and recommended sampling are told', async () => {
  const { metadata } = await convert(
    { generationConfig: { temperature: 0.6, top_k: 20, do_sample: true } },
    { rope_scaling: { type: 'linear', factor: 4 }, rope_theta: 5000 },
  );
  expect(metadata.get('llama.rope.scaling.type')).toEqual({ type: 'string', value: 'linear' });
  expect(metadata.get('llama.rope.scaling.factor')).toEqual({ type: 'f32', value: 4 });
  expect(metadata.get('llama.rope.freq_base')).toEqual({ type: 'f32', value: 5000 });
  expect(metadata.get('general.sampling.temp')).toEqual({ type: 'f32', value: 0.6 });
  expect(metadata.get('general.sampling.top_k')).toEqual({ type: 'i32', value: 20 });
});

test('a tokenizer that llama.cpp has no Llama for', async () => {
  await expect(convert({ vocabulary: { tokenizerJson: { model: { type: 'Unigram' } } } })).rejects.toMatchObject({
    code: 'gguf.vocabulary',
    got: 'type Unigram',
  });
  await expect(convert({ vocabulary: {} })).rejects.toMatchObject({ code: 'gguf.vocabulary', got: 'neither' });
  // The second one's score has one byte.
  for (const bytes of [Uint8Array.of(255, 255, 1), Uint8Array.of(10, 3, 18, 1, 0)])
    await expect(convert({ vocabulary: { tokenizerModel: bytes } })).rejects.toMatchObject({
      code: 'gguf.vocabulary',
      what: 'tokenizer.model',
    });
  await expect(
    convert({ vocabulary: { tokenizerJson, tokenizer: { encode: () => [1, 2], decode: () => '' } } }),
  ).rejects.toMatchObject({ code: 'gguf.preTokenizer' });
  await expect(convert({}, { vocab_size: 2 })).rejects.toMatchObject({
    code: 'gguf.vocabulary',
    what: 'token 2 of tokenizer.json',
  });
});

test('sizes as people say them', () => {
  expect([260, 9_528, 260_032, 1_100_048_384, 8_030_261_248, 1.5e12].map(sizeLabel)).toEqual([
    '0.26K',
    '10K',
    '260K',
    '1.1B',
    '8.0B',
    '1.5T',
  ]);
});
