import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { bytesSource } from '@lowrank/safetensors';
import { unlistedKeys } from '@lowrank/settings';
import { describe, expect, test } from 'vitest';
import { configKeysOf } from './configKeys.js';
import { openFolder } from './files.js';
import { loadCausalModel } from './load.js';
import { outlineModel } from './outline.js';
import { findFamily } from './registry.js';
import { goldenFolder } from './testing.js';

type Json = Readonly<Record<string, unknown>>;

/** The fields of transformers' config classes (parity/folderKeys.py). */
const { 'config.json': classes } = JSON.parse(
  readFileSync(fileURLToPath(new URL('../../../parity/golden/folderKeys.json', import.meta.url)), 'utf8'),
) as { 'config.json': Record<string, string[]> };

const sizes = {
  vocab_size: 24,
  hidden_size: 16,
  intermediate_size: 16,
  num_hidden_layers: 4,
  num_attention_heads: 2,
  num_key_value_heads: 2,
  head_dim: 8,
  max_position_embeddings: 64,
};

function tableOf(type: string): ReturnType<typeof configKeysOf> {
  const family = findFamily(type);
  if (family === undefined) throw new TypeError(type);
  return configKeysOf(family);
}

function baseOf(type: string): Json {
  if (type === 'gemma3') return { model_type: type, text_config: { model_type: 'gemma3_text', ...sizes } };
  if (type === 'gpt2') return { model_type: type, vocab_size: 24, n_embd: 16, n_head: 2, n_layer: 4, n_positions: 64 };
  return { model_type: type, ...sizes };
}

/** What a model computes, and when a text of it ends: its settings with its functions, its tensors, its parts. */
function described(config: Json): string {
  const model = outlineModel(config);
  const written = (_: string, value: unknown): unknown => (typeof value === 'function' ? String(value) : value);
  const scales = model.shape.layers > 0 ? attentionScales(model.shape) : [];
  return JSON.stringify(
    [model.shape, scales, [...model.namedParameters()].map(([name, { tensor }]) => [name, tensor.shape])],
    written,
  );
}

function attentionScales(shape: object): number[] {
  if (!('attentionScale' in shape) || typeof shape.attentionScale !== 'function') return [];
  return [0, 1].map((layer) => Number((shape as { attentionScale: (layer: number) => number }).attentionScale(layer)));
}

const yarn = { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 8 };
const llama3 = { ...yarn, rope_type: 'llama3', low_freq_factor: 1, high_freq_factor: 4 };
const factors = [1, 2, 3, 4];
const longrope = { rope_type: 'longrope', short_factor: factors, long_factor: [4, 3, 2, 1] };
const kinds = ['full_attention', 'sliding_attention', 'sliding_attention', 'sliding_attention'];
const windowed = { use_sliding_window: true, sliding_window: 4 };

/** A value that changes something, where two are not enough, and what has to be there for it. */
const changes: Readonly<Record<string, { readonly among?: Json; readonly to?: unknown }>> = {
  model_type: { to: 'nothing' },
  eos_token_id: { to: [7] },
  hidden_act: { to: 'relu' },
  hidden_activation: { to: 'relu' },
  activation_function: { to: 'relu' },
  quantization_config: { to: { quant_method: 'gptq' } },
  num_key_value_heads: { to: 1 },
  num_attention_heads: { to: 1, among: { num_key_value_heads: 1 } },
  rope_scaling: { to: { rope_type: 'linear', factor: 2 } },
  rope_parameters: { to: { rope_type: 'linear', factor: 2, full_attention: { rope_type: 'linear', factor: 2 } } },
  original_max_position_embeddings: { to: 4, among: { rope_scaling: yarn } },
  partial_rotary_factor: { to: 0.5 },
  layer_types: { to: kinds, among: { ...windowed, max_window_layers: 9 } },
  sliding_window: { to: 9, among: { use_sliding_window: true, max_window_layers: 1 } },
  max_window_layers: { to: 1, among: windowed },
  use_sliding_window: { to: true, among: { sliding_window: 4, max_window_layers: 0, no_rope_layer_interval: 2 } },
  no_rope_layers: { to: [1, 0, 1, 1] },
  text_config: { to: { model_type: 'gemma3_text', ...sizes, hidden_size: 32 } },
  bos_token_id: { to: 9 },
  n_head: { to: 4 },
  rotary_pct: { to: 0.5 },
};
describe.each(Object.keys(classes))('%s', (type) => {
  test('every field of the config class has its use', () => {
    const table = tableOf(type);
    expect((classes[type] ?? []).filter((key) => !Object.hasOwn(table, key))).toEqual([]);
  });

  test('what is followed changes something', () => {
    const ofText = new Set(Object.keys(tableOf('gemma3')['text_config']?.keys ?? {}));
    const idle = Object.entries(tableOf(type)).flatMap(([key, { use }]) => {
      if (use !== 'followed' || (type === 'gemma3' && ofText.has(key) && key !== 'tie_word_embeddings')) return [];
      // Of the folder, not of the model; and the text part is in the config of models with images.
      if (['quantization_config', ...(type === 'gemma3' ? [] : ['text_config'])].includes(key)) return [];
      const { among = {}, to } = changes[key] ?? {};
      const base = {
        ...baseOf(type),
        ...(type === 'phi3' && among['rope_scaling'] ? { rope_scaling: longrope } : among),
      };
      return (to === undefined ? [true, false, 2, 0.1] : [to]).some((value) =>
        isOther({ ...base, [key]: value }, base, key),
      )
        ? []
        : [key];
    });
    expect(idle).toEqual([]);
  });

  test('what is refused is refused by its name, or is a dropout that training warns of', () => {
    for (const [key, { use, why }] of Object.entries(tableOf(type))) {
      if (use !== 'refused' || ['quantization', 'pad_token_id'].includes(key)) continue;
      if (why.startsWith('above 0')) {
        // Of models with images, transformers reads the text part's.
        if (type === 'gemma3') continue;
        expect(outlineModel({ ...baseOf(type), [key]: 0.25 }).dropouts).toContain(`${key} 0.25`);
        expect(outlineModel({ ...baseOf(type), [key]: 0 }).dropouts.join()).not.toContain(key);
      } else if (type !== 'gemma3' || key !== 'use_bidirectional_attention')
        expect(() => outlineModel({ ...baseOf(type), [key]: true })).toThrow(`${key} in config.json`);
    }
  });
});

function isOther(config: Json, base: Json, key: string): boolean {
  try {
    return described(config) !== described(base);
  } catch (error) {
    // A value of the wrong kind, or one that transformers has and Lowrank refuses.
    return (
      error instanceof Error && error.message.includes(key) && /does not support|expected one of/.test(error.message)
    );
  }
}

test.each([
  ['rope_scaling', llama3],
  ['rope_scaling', { ...yarn, mscale: 2, mscale_all_dim: 0.5, beta_fast: 8, beta_slow: 2, truncate: false }],
  ['rope_scaling', { ...yarn, attention_factor: 2, rope_theta: 7 }],
])('each key of %s %j changes something', (place, parameters) => {
  const described_ = (given: Json): string => described({ ...baseOf('llama'), [place]: given });
  const whole = described_(parameters);
  for (const key of Object.keys(parameters)) {
    const { [key]: _, ...rest } = parameters as Json;
    let without: string;
    try {
      without = described_(rest);
    } catch (error) {
      without = String(error);
    }
    expect([key, without]).not.toEqual([key, whole]);
  }
});

describe('the text part of a model with images', () => {
  const table = tableOf('gemma3');
  const withText = (text: Json): Json => {
    const base = baseOf('gemma3');
    return { ...base, text_config: { ...(base['text_config'] as Json), ...text } };
  };

  test('each field of its config class is listed', () => {
    const text = Object.fromEntries((classes['gemma3_text'] ?? []).map((key) => [key, 1]));
    expect(Object.keys(text).length).toBeGreaterThan(20);
    expect(unlistedKeys({ text_config: text }, table)).toEqual([]);
  });

  test('its dropout and its padding are those that training warns of', () => {
    const { dropouts, paddingId } = outlineModel(withText({ attention_dropout: 0.25, pad_token_id: 3 }));
    expect({ dropouts, paddingId }).toEqual({ dropouts: ['attention_dropout 0.25'], paddingId: 3 });
    const above = outlineModel({ ...withText({}), attention_dropout: 0.25, pad_token_id: 3 });
    expect([above.dropouts, above.paddingId]).toEqual([[], undefined]);
  });

  test('what is refused there is refused', () => {
    expect(() => outlineModel(withText({ is_encoder_decoder: true }))).toThrow('is_encoder_decoder');
  });
});

test('a key that is not listed brings a warning, in a nested config and among parameters too', async () => {
  const folder = await openFolder(goldenFolder('tied'));
  const json = JSON.parse(readFileSync(goldenFolder('tied/config.json'), 'utf8')) as Json;
  const config = { ...json, hidden_sizes: 7, _mine: 1, rope_parameters: { rope_type: 'default', bent: 2 } };
  const source = bytesSource(new TextEncoder().encode(JSON.stringify(config)), 'config.json');
  const said: string[] = [];
  await loadCausalModel(
    { name: 'here', file: async (name) => (name === 'config.json' ? source : folder.file(name)) },
    { onWarning: (text) => said.push(text) },
  );
  expect(said.sort()).toEqual([
    'here: config.json: the key "hidden_sizes" is not known here, and ignored.',
    'here: config.json: the key "rope_parameters.bent" is not known here, and ignored.',
  ]);
});
