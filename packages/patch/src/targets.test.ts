import { loraConfig } from '@lowrank/lora';
import { describe, expect, test } from 'vitest';
import { addAdapter } from './addAdapter.js';
import { matchLoaded, matchTargets } from './targets.js';
import { TinyModel } from './testing.js';

type Given = Parameters<typeof loraConfig>[0];
const paths = (given: Given): string[] => [...matchTargets(new TinyModel(), loraConfig(given)).keys()];
const at = (layers: readonly number[], name: string): string[] =>
  layers.map((layer) => `model.layers.${layer}.${name}`);

/** After PEFT's REGEX_TEST_CASES and TARGET_MODULES cases (tests/test_tuners_utils.py). */
describe('PEFT’s rules', () => {
  const cases: [Given, string[]][] = [
    [{ targetModules: ['q_proj'] }, at([0, 1, 2], 'self_attn.q_proj')],
    [{ targetModules: ['self_attn.q_proj'] }, at([0, 1, 2], 'self_attn.q_proj')],
    [{ targetModules: ['model.layers.1.self_attn.q_proj'] }, at([1], 'self_attn.q_proj')],
    [{ targetModules: '.*q_proj' }, at([0, 1, 2], 'self_attn.q_proj')],
    [
      { targetModules: String.raw`model\.layers\.[02]\.self_attn\.(q|v)_proj` },
      [0, 2].flatMap((layer) => [...at([layer], 'self_attn.q_proj'), ...at([layer], 'self_attn.v_proj')]),
    ],
    [{ targetModules: String.raw`.*\.(?P<part>down)_proj` }, at([0, 1, 2], 'down_proj')],
    [
      { targetModules: 'all-linear' },
      [0, 1, 2].flatMap((layer) =>
        ['self_attn.q_proj', 'self_attn.v_proj', 'down_proj'].flatMap((name) => at([layer], name)),
      ),
    ],
    [
      { targetModules: 'all-linear', excludeModules: ['down_proj'] },
      [0, 1, 2].flatMap((layer) => ['self_attn.q_proj', 'self_attn.v_proj'].flatMap((name) => at([layer], name))),
    ],
    [
      { targetModules: ['q_proj'], excludeModules: ['model.layers.1.self_attn.q_proj'] },
      at([0, 2], 'self_attn.q_proj'),
    ],
    [{ targetModules: ['q_proj'], excludeModules: String.raw`.*layers\.[01]\..*` }, at([2], 'self_attn.q_proj')],
    [{ targetModules: ['q_proj'], layersToTransform: [0, 2] }, at([0, 2], 'self_attn.q_proj')],
    [{ targetModules: ['q_proj'], layersToTransform: [1], layersPattern: ['layers'] }, at([1], 'self_attn.q_proj')],
    [
      { targetModules: ['q_proj'], layersToTransform: [1], layersPattern: ['h', 'layers'] },
      at([1], 'self_attn.q_proj'),
    ],
    [{ targetModules: ['q_proj'], layersToTransform: [] }, at([0, 1, 2], 'self_attn.q_proj')],
    // A full path is meant, whatever the layers say.
    [
      { targetModules: ['model.layers.1.self_attn.q_proj', 'v_proj'], layersToTransform: [0] },
      [...at([0], 'self_attn.v_proj'), ...at([1], 'self_attn.q_proj')],
    ],
    [{ targetModules: ['lm_head'] }, ['lm_head']],
  ];
  test.each(cases)('%j', (given, expected) => expect(paths(given)).toEqual(expected));
});

describe('refused', () => {
  test('no match: what could be matched is listed', () => {
    expect(() => paths({ targetModules: ['query'] })).toThrow(/query.*q_proj, v_proj, down_proj, lm_head/);
    expect(() => paths({ targetModules: 'q_proj' })).toThrow(/'q_proj'.*no match/);
    expect(() => paths({ targetModules: ['proj'] })).toThrow(/proj/);
    expect(() => paths({ targetModules: ['q_proj'], layersToTransform: [7] })).toThrow(/no match/);
    expect(() => paths({ targetModules: ['q_proj'], layersToTransform: [1], layersPattern: ['h'] })).toThrow(
      /no match/,
    );
    expect(() => paths({ targetModules: ['q_proj'], excludeModules: ['q_proj'] })).toThrow(/not excluded/);
  });

  test('one misspelt name among good ones', () => {
    expect(() => paths({ targetModules: ['q_proj', 'w_proj'] })).toThrow(/target modules w_proj/);
  });

  test('modules that are neither linear layers nor embeddings', () => {
    expect(() => paths({ targetModules: ['q_proj', 'self_attn'] })).toThrow(
      /only linear layers and embeddings.*model\.layers\.0\.self_attn/,
    );
    expect(() => paths({ targetModules: '.*' })).toThrow(/only linear layers and embeddings/);
  });
});

test('an embedding is a target where it is named, and none of all-linear', () => {
  expect(paths({ targetModules: ['q_proj', 'embed_tokens'] })).toContain('model.embed_tokens');
  expect(paths({ targetModules: 'all-linear' })).not.toContain('model.embed_tokens');
});

test('a loaded adapter may name what this model does not have', () => {
  expect([...matchLoaded(new TinyModel(), loraConfig({ targetModules: ['q_proj', 'w_proj'] })).keys()]).toEqual(
    at([0, 1, 2], 'self_attn.q_proj'),
  );
});

test('adapted layers are matched as themselves, not what is inside of them', async () => {
  const model = new TinyModel();
  await addAdapter(model, loraConfig({ targetModules: ['q_proj'] }));
  expect([...matchTargets(model, loraConfig({ targetModules: 'all-linear' })).keys()]).toEqual(
    paths({ targetModules: 'all-linear' }),
  );
});

test("'all-linear' leaves out the output projection that the model names, under whatever name", () => {
  class Neox extends TinyModel {
    override readonly outputPath: string = 'model.layers.2.down_proj';
  }
  const linear = (model: TinyModel): string[] => [
    ...matchTargets(model, loraConfig({ targetModules: 'all-linear' })).keys(),
  ];
  const all = [...linear(new TinyModel()), 'lm_head'];
  const neox = new Neox();
  expect(linear(neox)).toEqual(all.filter((path) => path !== neox.outputPath));
});
