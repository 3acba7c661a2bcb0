import { describe, expect, test } from 'vitest';
import type { LoraConfig } from './config.js';
import { loraConfig, pathExpression, rankAt, scalingAt } from './config.js';

const targetModules = ['q_proj'];

test('defaults are PEFT’s, but alpha is r unless told', () => {
  expect(loraConfig({ targetModules })).toMatchObject({
    r: 8,
    alpha: 8,
    dropout: 0,
    useRslora: false,
    rankPattern: {},
    alphaPattern: {},
    init: 'kaiming',
  });
  expect(loraConfig({ targetModules, r: 3 }).alpha).toBe(3);
});

describe('refused, by name', () => {
  const cases: [Partial<LoraConfig>, RegExp][] = [
    [{ r: 0 }, /setting r: expected a whole number of at least 1, got 0/],
    [{ r: 2.5 }, /setting r/],
    [{ r: NaN }, /setting r/],
    [{ alpha: Infinity }, /lora_alpha/],
    [{ dropout: 1 }, /lora_dropout.*below 1/],
    [{ dropout: -0.1 }, /lora_dropout/],
    [{ init: 'corda' as 'kaiming' }, /init_lora_weights.*corda/],
    [{ init: 'pissa_niter_0' }, /init_lora_weights.*pissa_niter_N.*pissa_niter_0/],
    [{ bias: 'some' as 'all' }, /bias.*none, all or lora_only/],
    [{ rankPattern: { q_proj: 0 } }, /rank_pattern\[q_proj\]/],
    [{ rankPattern: { '(': 4 } }, /module pattern "\(".*regular expression/],
    [{ alphaPattern: { v_proj: NaN } }, /alpha_pattern\[v_proj\]/],
    [{ targetModules: [] }, /target_modules/],
    [{ targetModules: '' }, /target_modules/],
    [{ targetModules: '[' }, /regular expression/],
    [{ excludeModules: '*' }, /regular expression/],
    [{ layersToTransform: [-1] }, /layers_to_transform/],
    [{ layersPattern: ['layers'] }, /layers_pattern.*layers_to_transform/],
    [{ targetModules: '.*q_proj', layersToTransform: [0] }, /layers_to_transform.*list/],
    [{ targetModules: 'all-linear', layersToTransform: [0] }, /layers_to_transform.*list/],
  ];
  test.each(cases)('%j', (given, message) => expect(() => loraConfig({ targetModules, ...given })).toThrow(message));
});

/** After PEFT's tests of get_pattern_key. */
test.each([
  ['q_proj', 'model.layers.1.self_attn.q_proj', 4],
  ['model.layers.1.self_attn.q_proj', 'model.layers.1.self_attn.q_proj', 4],
  ['^model.layers.1.self_attn.q_proj', 'model.layers.1.self_attn.q_proj', 4],
  ['layers.1.self_attn.q_proj', 'model.layers.11.self_attn.q_proj', 8],
  ['proj', 'model.layers.1.self_attn.q_proj', 8],
  ['q_proj', 'model.layers.1.self_attn.q_proj.extra', 8],
  ['.*_proj', 'model.layers.1.self_attn.q_proj', 4],
  [String.raw`layers\.\d+\..*\.(q|k)_proj`, 'model.layers.1.self_attn.k_proj', 4],
  ['(?P<which>q|k)_proj', 'model.layers.1.self_attn.k_proj', 4],
])('the rank pattern %s at %s', (key, path, rank) => {
  expect(rankAt(loraConfig({ targetModules, rankPattern: { [key]: 4 } }), path)).toBe(rank);
});

test('the first pattern that matches counts', () => {
  const config = loraConfig({ targetModules, rankPattern: { 'self_attn.q_proj': 2, q_proj: 3 } });
  expect(rankAt(config, 'model.layers.0.self_attn.q_proj')).toBe(2);
  expect(rankAt(config, 'model.layers.0.mlp.q_proj')).toBe(3);
});

test('scaling is alpha/r or alpha/√r, with the module’s own alpha and r', () => {
  const config = loraConfig({
    targetModules,
    r: 4,
    alpha: 8,
    rankPattern: { o_proj: 16 },
    alphaPattern: { v_proj: 2, o_proj: 4 },
  });
  expect(['q_proj', 'v_proj', 'o_proj'].map((name) => scalingAt(config, `layers.0.${name}`))).toEqual([2, 0.5, 0.25]);
  expect(
    ['q_proj', 'v_proj', 'o_proj'].map((name) => scalingAt({ ...config, useRslora: true }, `layers.0.${name}`)),
  ).toEqual([4, 1, 1]);
});

test('a pattern matches the whole path', () => {
  expect(pathExpression('q_proj|v_proj').test('self_attn.q_proj')).toBe(false);
  expect(pathExpression('.*(q_proj|v_proj)').test('self_attn.q_proj')).toBe(true);
});
