import { readFile } from 'node:fs/promises';
import { isLowrankError } from '@lowrank/errors';
import { describe, expect, test } from 'vitest';
import {
  isSkipped,
  parseQuantizationConfig,
  serializeQuantizationConfig,
  withQuantizationConfig,
} from './quantizationConfig.js';
import { goldenRoot } from './testing.js';

const golden = async (name: string): Promise<unknown> =>
  (JSON.parse(await readFile(`${goldenRoot}models/${name}/config.json`, 'utf8')) as Record<string, unknown>)[
    'quantization_config'
  ];

test.each([
  ['nf4', { type: 'nf4', doubleQuantization: false }],
  ['nf4Double', { type: 'nf4', doubleQuantization: true }],
  ['fp4', { type: 'fp4', doubleQuantization: false }],
  ['int8', { type: 'int8', doubleQuantization: false }],
  ['nf4Skip', { type: 'nf4', doubleQuantization: false, skipModules: ['lm_head', 'down_proj'] }],
])('%s: what transformers wrote is read, and written again the same', async (name, expected) => {
  const config = await golden(name);
  const parsed = parseQuantizationConfig(config);
  expect(parsed).toEqual({ computeDtype: 'f32', skipModules: undefined, ...expected });
  expect(serializeQuantizationConfig(parsed)).toEqual(config);
});

describe('what is not bitsandbytes in 4 or 8 bits', () => {
  test.each(['gptq', 'awq', 'hqq', 'compressed-tensors', 'fp8', 'mxfp4', 'torchao', 'aqlm'])(
    '%s is refused by name, with a way out',
    (method) => {
      try {
        parseQuantizationConfig({ quant_method: method, bits: 4 }, 'model/config.json');
        expect.unreachable();
      } catch (error) {
        if (!isLowrankError(error)) throw error;
        expect([error.code, error.message]).toEqual([
          'quant.method',
          expect.stringMatching(new RegExp(`model/config.json.*got "${method}".*--quantization nf4`)),
        ]);
      }
    },
  );

  test.each([
    [undefined, /expected an object, got nothing/],
    [[], /expected an object/],
    [{}, /quant_method/],
    [{ quant_method: 4, load_in_4bit: true }, /quant_method.*got 4/],
    [{ quant_method: 'bitsandbytes' }, /one of them, got neither/],
    [{ quant_method: 'bitsandbytes', load_in_4bit: true, load_in_8bit: true }, /got both/],
    [{ load_in_4bit: 'yes' }, /load_in_4bit: expected true or false, got yes/],
    [{ load_in_4bit: true, bnb_4bit_quant_type: 'int4' }, /nf4 or fp4, got int4/],
    [{ load_in_4bit: true, bnb_4bit_compute_dtype: 'float8' }, /bnb_4bit_compute_dtype.*got float8/],
    [{ load_in_4bit: true, bnb_4bit_compute_dtype: 7 }, /bnb_4bit_compute_dtype.*got 7/],
    [{ load_in_4bit: true, bnb_4bit_quant_storage: 'int4' }, /bnb_4bit_quant_storage/],
    [{ load_in_8bit: true, llm_int8_has_fp16_weight: true }, /llm_int8_has_fp16_weight/],
    [{ load_in_4bit: true, llm_int8_skip_modules: 'lm_head' }, /a list of names/],
    [{ load_in_4bit: true, llm_int8_skip_modules: [1] }, /a list of names/],
  ])('%j is refused', (config, message) => {
    expect(() => parseQuantizationConfig(config)).toThrow(message);
  });
});

test('old files without quant_method, and torch’s own spelling of a dtype', () => {
  expect(
    parseQuantizationConfig({
      load_in_4bit: true,
      bnb_4bit_compute_dtype: 'torch.bfloat16',
      llm_int8_skip_modules: null,
    }),
  ).toEqual({ type: 'fp4', doubleQuantization: false, computeDtype: 'bf16', skipModules: undefined });
});

test('modules are skipped as transformers skips them', () => {
  const cases: [path: string, name: string, skipped: boolean][] = [
    ['lm_head', 'lm_head', true],
    ['model.layers.1.mlp.down_proj', 'down_proj', true],
    ['model.layers.1.mlp.down_proj', 'model.layers.1', true],
    ['model.layers.11.mlp.down_proj', 'model.layers.1', false],
    ['model.layers.1.mlp.gate_proj', 'mlp.gate', false],
    ['model.layers.11.mlp.up_proj', 'model.layers.(1|11).mlp', true],
    ['model.layers.3.mlp.up_proj', String.raw`model\.layers\.\d+\.self_attn`, false],
    ['model.layers.3.self_attn.q_proj', String.raw`model\.layers\.\d+\.self_attn`, true],
    ['model.layers.3.self_attn.q_proj', 'k_proj', false],
  ];
  for (const [path, name, skipped] of cases)
    expect([path, name, isSkipped(path, [name])]).toEqual([path, name, skipped]);
  expect(isSkipped('anything', [])).toBe(false);
  expect(() => isSkipped('a', ['('])).toThrow(/regular expression/);
});

test('a config.json keeps every character it had', () => {
  const config = { type: 'nf4', doubleQuantization: true, computeDtype: 'bf16', skipModules: ['lm_head'] } as const;
  const text = '{\n  "rope_theta": 10000.0,\n  "rms_norm_eps": 1e-05\n}\n';
  const written = withQuantizationConfig(text, config);
  expect(written).toContain(
    '"rope_theta": 10000.0,\n  "rms_norm_eps": 1e-05,\n  "quantization_config": {\n    "_load_in_4bit": true,',
  );
  expect(written).toContain('"llm_int8_threshold": 6.0,');
  expect(parseQuantizationConfig((JSON.parse(written) as Record<string, unknown>)['quantization_config'])).toEqual(
    config,
  );
  expect(JSON.parse(withQuantizationConfig('{}', config))).toHaveProperty('quantization_config');
  for (const bad of ['{"a": 1', '[1]', 'null', written])
    expect(() => withQuantizationConfig(bad, config)).toThrow(/config\.json/);
});
