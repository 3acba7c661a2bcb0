import { describe, expect, test } from 'vitest';
import { checkLoraConfig } from './checkConfig.js';
import type { LoraConfig } from './config.js';
import { loraConfig } from './config.js';
import { rankAt, scalingAt } from './scaling.js';
import { PathPattern } from './pathPattern.js';

const targetModules = ['q_proj'];

test('defaults are PEFT’s, but alpha is r unless given', () => {
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

describe('refused when it is made, by name', () => {
  const cases: [Partial<LoraConfig>, RegExp][] = [
    [{ r: 0 }, /setting r: expected a whole number of at least 1, got 0/],
    [{ r: 2.5 }, /setting r/],
    [{ r: NaN }, /setting r/],
    [{ alpha: Infinity }, /setting alpha/],
    [{ dropout: 1 }, /setting dropout.*below 1/],
    [{ dropout: -0.1 }, /setting dropout/],
    [{ init: 'corda' as 'kaiming' }, /setting init: .*corda/],
    [{ init: 'pissa_niter_0' }, /setting init.*pissa_niter_N.*pissa_niter_0/],
    [{ bias: 'some' as 'all' }, /bias.*none, all, lora_only/],
    [{ rankPattern: { q_proj: 0 } }, /rankPattern\[q_proj\]: expected a whole number of at least 1, got 0/],
    [{ alphaPattern: { v_proj: NaN } }, /alphaPattern\[v_proj\]/],
    [{ targetModules: '' }, /targetModules/],
    [{ layersToTransform: [-1] }, /layersToTransform/],
    [{ eva: [] as LoraConfig['eva'] }, /eva: expected an object of EVA’s settings/],
  ];
  test.each([
    [{ rank: 16 }, 'the LoRA setting rank: expected r, got rank'],
    [{ lora_alpha: 16 }, 'expected alpha, got lora_alpha'],
    [{ targetModule: ['q_proj'] }, 'expected targetModules, got targetModule'],
    [{ quux: 1 }, /quux: expected one of r, alpha, .*got a name that is none of them/],
  ])('%j: the nearest name', (given, message) =>
    expect(() => loraConfig({ targetModules, ...given } as { targetModules: string[] })).toThrow(message),
  );
  test.each(cases)('%j', (given, message) => expect(() => loraConfig({ targetModules, ...given })).toThrow(message));
});

describe('refused where it is used, by name', () => {
  const cases: [Partial<LoraConfig>, RegExp][] = [
    [{ useDora: true, loraBias: true }, /loraBias with useDora: expected one of the two, got both/],
    [{ useDora: true, init: 'pissa_niter_4' }, /useDora with init 'pissa_niter_4'/],
    [{ loraBias: true, init: 'gaussian' }, /loraBias with init 'gaussian'/],
    [{ eva: { rho: 1 } }, /eva.rho: expected init 'eva' with it, got kaiming/],
    [{ init: 'eva', eva: { rho: 0.5 } }, /EVA setting rho: expected a number of at least 1, got 0.5/],
    [{ init: 'eva', eva: { roh: 2 } as LoraConfig['eva'] }, /EVA setting roh: expected rho, got roh/],
    [{ rankPattern: { '(': 4 } }, /module pattern "\(".*regular expression/],
    [{ targetModules: [] }, /targetModules/],
    [{ targetModules: '[' }, /regular expression/],
    [{ excludeModules: '*' }, /regular expression/],
    [{ layersPattern: ['layers'] }, /layersPattern.*layersToTransform/],
    [{ targetModules: '.*q_proj', layersToTransform: [0] }, /layersToTransform with targetModules.*list/],
    [{ targetModules: 'all-linear', layersToTransform: [0] }, /layersToTransform with targetModules.*list/],
    [{ trainableTokenIndices: [3, 3] }, /token ids from 0, each once/],
  ];
  test.each(cases)('%j', (given, message) => {
    const config = loraConfig({ targetModules, ...given });
    expect(() => checkLoraConfig(config)).toThrow(
      expect.objectContaining({ code: 'lora.config', message: expect.stringMatching(message) as string }) as Error,
    );
  });
  test('EVA’s settings are filled in where an adapter begins so', () => {
    expect(checkLoraConfig(loraConfig({ targetModules, init: 'eva', eva: { rho: 1 } })).eva).toMatchObject({
      rho: 1,
      batches: 32,
    });
    expect(checkLoraConfig(loraConfig({ targetModules })).eva).toBeUndefined();
  });
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
  expect(PathPattern.of('q_proj|v_proj', 'whole').matches('self_attn.q_proj')).toBe(false);
  expect(PathPattern.of('.*(q_proj|v_proj)', 'whole').matches('self_attn.q_proj')).toBe(true);
});

test('a pattern for each of thousands of layers takes no time; more than a model has are refused', () => {
  const patterns = (count: number, of: (at: number) => string): Record<string, number> =>
    Object.fromEntries(Array.from({ length: count }, (_, at) => [of(at), at + 1]));
  const rankPattern = patterns(20_000, (at) => `experts.${at}.q_proj`);
  const many = checkLoraConfig(loraConfig({ targetModules, rankPattern }));
  const begin = process.cpuUsage();
  for (let at = 0; at < 20; at++)
    expect(rankAt(many, `model.layers.0.experts.${at * 1000}.q_proj`)).toBe(at * 1000 + 1);
  expect(process.cpuUsage(begin).user / 1000).toBeLessThan(1000);
  const check = (given: Partial<LoraConfig>) => () => checkLoraConfig(loraConfig({ targetModules, ...given }));
  expect(check({ rankPattern: patterns(20_001, (at) => `${at}`) })).toThrow(/at most 20000/);
  expect(check({ alphaPattern: patterns(257, (at) => `q+${at}`) })).toThrow(
    /at most 256 patterns that are more than a path, got 257/,
  );
});
