import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { parseAdapterConfig, serializeAdapterConfig } from './adapterConfig.js';
import type { LoraConfig } from './config.js';
import { loraConfig } from './config.js';
import { goldenRoot, gptRoot } from './testing.js';

const least = { peft_type: 'LORA', target_modules: ['q_proj'] };

test('the least that PEFT needs; the rest has PEFT’s defaults', () => {
  expect(parseAdapterConfig(least)).toMatchObject({
    r: 8,
    alpha: 8,
    dropout: 0,
    useRslora: false,
    targetModules: ['q_proj'],
    init: 'kaiming',
  });
});

test('fan_in_fan_out, which PEFT sets for layers stored [in, out], is kept', async () => {
  const config = parseAdapterConfig(
    JSON.parse(await readFile(`${gptRoot}adapters/gpt2-all/adapter_config.json`, 'utf8')),
  );
  expect(config).toMatchObject({
    fanInFanOut: true,
    targetModules: ['c_attn', 'c_proj', 'c_fc'],
    rankPattern: { c_attn: 3 },
  });
  expect(JSON.parse(serializeAdapterConfig(config))).toMatchObject({ fan_in_fan_out: true });
  expect(JSON.parse(serializeAdapterConfig(parseAdapterConfig(least)))).toMatchObject({ fan_in_fan_out: false });
});

test('unknown keys are ignored, null and empty settings are off', () => {
  expect(() =>
    parseAdapterConfig({
      ...least,
      some_day: { x: 1 },
      use_dora: false,
      modules_to_save: null,
      loftq_config: {},
      layer_replication: [],
      bias: 'none',
      megatron_core: 'megatron.core',
    }),
  ).not.toThrow();
});

test('a file of PEFT', async () => {
  const text = await readFile(`${goldenRoot}adapters/tied-all/adapter_config.json`, 'utf8');
  const config = parseAdapterConfig(JSON.parse(text));
  expect(config).toMatchObject({
    r: 4,
    alpha: 8,
    rankPattern: { down_proj: 3, 'layers.0.self_attn.q_proj': 2 },
    alphaPattern: { down_proj: 6 },
    taskType: 'CAUSAL_LM',
    baseModel: 'tied',
  });
  expect(config.targetModules).toHaveLength(14);
});

describe('refused, never ignored', () => {
  test.each<[Record<string, unknown>, RegExp]>([
    [{ use_dora: true, lora_bias: true }, /lora_bias.*use_dora/],
    [
      { lora_bias: true, init_lora_weights: 'gaussian' },
      /adapter_config.json: lora_bias with init_lora_weights "gaussian"/,
    ],
    [{ use_dora: true, init_lora_weights: 'pissa' }, /use_dora.*pissa/],
    [{ modules_to_save: 'lm_head' }, /modules_to_save.*list of names.*lm_head/],
    [{ trainable_token_indices: ['a'] }, /trainable_token_indices.*token ids/],
    [{ trainable_token_indices: { embed_tokens: 5 } }, /trainable_token_indices.*token ids/],
    [{ trainable_token_indices: [-1] }, /trainable_token_indices.*at least 0.*-1/],
    [{ trainable_token_indices: [4, 4] }, /trainable_token_indices.*each once.*4/],
    [{ peft_type: 'TRAINABLE_TOKENS' }, /token_indices.*nothing/],
    [{ layer_replication: [[0, 4]] }, /layer_replication/],
    [{ target_parameters: ['experts'] }, /target_parameters/],
    [{ alora_invocation_tokens: [3] }, /alora/],
    [{ kasa_config: { beta: 1 } }, /kasa_config/],
    [{ bias: 'boft_only' }, /bias.*boft_only/],
    [{ init_lora_weights: 'loftq' }, /init_lora_weights.*leaves the base as it is.*loftq/],
    [{ init_lora_weights: 'pissa_niter_0' }, /init_lora_weights.*pissa_niter_N.*pissa_niter_0/],
    [{ init_lora_weights: 'corda' }, /init_lora_weights/],
    [{ peft_type: 'IA3' }, /peft_type.*LORA.*IA3/],
    [{ peft_type: undefined }, /peft_type.*nothing/],
    [{ target_modules: null }, /target_modules/],
    [{ target_modules: [1] }, /target_modules.*list of names/],
    [{ r: '8' }, /r in .*number/],
    [{ r: 0 }, /r in adapter_config.json: expected a whole number of at least 1, got 0/],
    [{ rank_pattern: { q_proj: 'x' } }, /rank_pattern\[q_proj\]/],
    [{ layers_to_transform: ['0'] }, /layers_to_transform/],
  ])('%j', (given, message) => expect(() => parseAdapterConfig({ ...least, ...given })).toThrow(message));
  test.each([[null], [[]], ['text']])('%j for a file', (given) =>
    expect(() => parseAdapterConfig(given)).toThrow(/JSON object/),
  );
});

test.each([[true], [false], ['gaussian'], ['eva'], ['orthogonal']])(
  'an adapter that began as %s is an adapter like any other',
  (init) => {
    expect(() => parseAdapterConfig({ ...least, init_lora_weights: init })).not.toThrow();
  },
);

test('what is written is what PEFT writes: sorted, indented by 2, for inference', () => {
  const config = loraConfig({
    targetModules: ['v_proj', 'q_proj'],
    r: 4,
    alpha: 6,
    dropout: 0.1,
    useRslora: true,
    rankPattern: { z: 2, a: 3 },
    layersToTransform: [0, 2],
    baseModel: 'org/base',
    taskType: 'CAUSAL_LM',
  });
  const text = serializeAdapterConfig(config);
  const json = JSON.parse(text) as Record<string, unknown>;
  expect(Object.keys(json)).toEqual(Object.keys(json).sort());
  expect(text).toMatch(/^\{\n {2}"alpha_pattern"/);
  expect(json).toMatchObject({
    peft_type: 'LORA',
    inference_mode: true,
    r: 4,
    lora_alpha: 6,
    lora_dropout: 0.1,
    use_rslora: true,
    target_modules: ['v_proj', 'q_proj'],
    base_model_name_or_path: 'org/base',
    task_type: 'CAUSAL_LM',
    bias: 'none',
  });
  expect(Object.keys(json['rank_pattern'] as object)).toEqual(['z', 'a']);
  expect(parseAdapterConfig(json)).toEqual(config);
});

test.each<Partial<LoraConfig>>([
  { useDora: true, init: 'orthogonal' },
  { loraBias: true },
  { bias: 'all' },
  { bias: 'lora_only' },
  { init: 'olora' },
  { init: 'pissa' },
])('%j goes both ways', (given) => {
  const config = loraConfig({ targetModules: ['q_proj'], ...given });
  expect(parseAdapterConfig(JSON.parse(serializeAdapterConfig(config)))).toEqual({ ...config, taskType: 'CAUSAL_LM' });
});

test('a regular expression and excludes go both ways', () => {
  const config = loraConfig({
    targetModules: String.raw`.*\.(q|v)_proj`,
    excludeModules: ['layers.0.self_attn.q_proj'],
    init: 'gaussian',
  });
  expect(parseAdapterConfig(JSON.parse(serializeAdapterConfig(config)))).toEqual({ ...config, taskType: 'CAUSAL_LM' });
});

test('modules saved whole, token rows and tied weights come back as they were', () => {
  for (const given of [
    { modules_to_save: ['lm_head', 'norm'], ensure_weight_tying: true, revision: 'main' },
    { trainable_token_indices: [5, 3] },
    { trainable_token_indices: { embed_tokens: [5, 3], lm_head: [1] } },
  ]) {
    const text = serializeAdapterConfig(parseAdapterConfig({ ...least, ...given }));
    expect(JSON.parse(text)).toMatchObject(given);
  }
  const alone = { peft_type: 'TRAINABLE_TOKENS', target_modules: 'embed_tokens', token_indices: [9, 5] };
  expect(JSON.parse(serializeAdapterConfig(parseAdapterConfig(alone)))).toMatchObject(alone);
});
