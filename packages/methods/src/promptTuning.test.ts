import { readTensor } from '@lowrank/tensor';
import { expect, test } from 'vitest';
import { promptTuning } from './promptTuning.js';
import { hiddenOf, TinyModel, trainable } from './testing.js';
import { inputEmbedding } from './virtualTokens.js';

const data = async (model: TinyModel): Promise<number[]> =>
  Array.from(await readTensor(inputEmbedding(model)[1].weight.tensor), Number);

test('begins as PEFT does: standard normal, the same for the same seed; everything else is frozen', async () => {
  const model = new TinyModel();
  const tuning = await promptTuning.inject(model, { seed: 4, virtualTokens: 14 });
  expect(model.virtualTokens).toBe(14);
  expect(trainable(model)).toEqual(['model.embed_tokens.prompt_embeddings']);
  const { tensors, config } = await tuning.extract();
  const values = tensors.get('prompt_embeddings')?.data ?? new Float32Array();
  expect(Math.abs(values.reduce((total, value) => total + value ** 2, 0) / values.length - 1)).toBeLessThan(0.4);
  expect(config).toMatchObject({
    peft_type: 'PROMPT_TUNING',
    num_virtual_tokens: 14,
    token_dim: 6,
    num_attention_heads: 2,
    num_layers: 2,
    prompt_tuning_init: 'RANDOM',
  });
});

test(
  'begins as a text’s embeddings, again and again, times the model’s factor; or as those of ' + 'drawn tokens',
  async () => {
    const model = new TinyModel({ scale: 3 });
    const table = await data(model);
    const row = (id: number): number[] => table.slice(6 * id, 6 * id + 6).map((value) => Math.fround(3 * value));
    const tuning = await promptTuning.inject(
      model,
      { virtualTokens: 5, promptInitText: 'of old', baseModel: 'some/base' },
      { tokenizer: () => Promise.resolve({ encode: () => [7, 2] }) },
    );
    const { tensors, config } = await tuning.extract();
    expect([...(tensors.get('prompt_embeddings')?.data ?? [])]).toEqual([7, 2, 7, 2, 7].flatMap(row));
    expect(config).toMatchObject({
      prompt_tuning_init: 'TEXT',
      prompt_tuning_init_text: 'of old',
      tokenizer_name_or_path: 'some/base',
      base_model_name_or_path: 'some/base',
    });
    // Tokens in their own words: what the model would see if the text stood there.
    const behind = await hiddenOf(model, [3, 1]);
    tuning.remove();
    const plain = await hiddenOf(model, [7, 2, 7, 2, 7, 3, 1]);
    plain.subarray(5 * 6).forEach((value, at) => expect(Math.abs(value - (behind[at] ?? NaN))).toBeLessThan(1e-5));

    const drawn = await promptTuning.inject(model, { virtualTokens: 4, virtualInit: 'vocab', seed: 2 });
    const values = (await drawn.extract()).tensors.get('prompt_embeddings')?.data ?? new Float32Array();
    const rows = Array.from({ length: 9 }, (_, id) => row(id).join());
    for (let at = 0; at < 4; at++) expect(rows).toContain([...values.subarray(6 * at, 6 * at + 6)].join());
    expect((await drawn.extract()).config['prompt_tuning_init']).toBe('SAMPLE_VOCAB');
  },
);

test('taken out, the model is as it was', async () => {
  const model = new TinyModel();
  const before = await hiddenOf(model);
  const tuning = await promptTuning.inject(model, { virtualTokens: 3 });
  expect(await hiddenOf(model)).not.toEqual(before);
  await expect(promptTuning.inject(model, { virtualTokens: 2 })).rejects.toThrow(
    /prompt tuning: expected a model without adapters and other methods, got a VirtualEmbedding at model.embed_tokens/,
  );
  tuning.remove();
  expect(model.virtualTokens).toBe(0);
  expect(await hiddenOf(model)).toEqual(before);
});

test.each([0, 2.5, 15])('%d virtual tokens are refused', async (virtualTokens) => {
  await expect(promptTuning.inject(new TinyModel(), { virtualTokens })).rejects.toThrow(
    /whole number from 1 to 14: they use some of the model's 16 positions/,
  );
});

test('what does not fit the model or its configuration is refused', async () => {
  const tensors = new Map([['prompt_embeddings', { shape: [3, 6], data: new Float32Array(18) }]]);
  const config = { peft_type: 'PROMPT_TUNING', num_virtual_tokens: 3 };
  const attach = (given: object, held = tensors): Promise<unknown> =>
    promptTuning.attach(new TinyModel(), { config: { ...config, ...given }, tensors: held });
  await expect(attach({})).resolves.toBeDefined();
  await expect(attach({ num_virtual_tokens: 4 })).rejects.toThrow(
    /prompt_embeddings .*expected \[4, 6\], got \[3, 6\]/,
  );
  await expect(attach({}, new Map())).rejects.toThrow(/expected \[3, 6\], got nothing/);
  await expect(attach({ num_virtual_tokens: 'three' })).rejects.toThrow(/num_virtual_tokens .*whole number/);
  await expect(attach({ modules_to_save: ['lm_head'] })).rejects.toThrow(/modules_to_save/);
  await expect(attach({ num_transformer_submodules: 2 })).rejects.toThrow(/num_transformer_submodules/);
  const given = { virtualTokens: 2, promptInitText: '' };
  const tokenizer = (): Promise<{ encode: () => number[] }> => Promise.resolve({ encode: () => [] });
  await expect(promptTuning.inject(new TinyModel(), given, { tokenizer })).rejects.toThrow(/at least one token/);
  await expect(promptTuning.inject(new TinyModel(), given)).rejects.toThrow(/a tokenizer to encode it/);
});
