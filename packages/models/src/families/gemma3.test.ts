import { readFile } from 'node:fs/promises';
import { bytesSource, openSafetensors, serializeSafetensors } from '@lowrank/safetensors';
import { reshape, tensor } from '@lowrank/tensor';
import { evaluateReference } from '@lowrank/tensor/op';
import { describe, expect, test } from 'vitest';
import type { CausalModel } from '../causalModel.js';
import type { ModelFiles } from '../files.js';
import { filesBy, openFolder } from '../files.js';
import { gemmaEmbeddingScale } from './gemma.js';
import { loadCausalModel, openModelWeights } from '../load.js';
import { goldenFolder } from '../testing.js';

const folder = goldenFolder('gemma3', 'families');

/** The golden's text model as the text part of a model of text and images. */
async function multimodal(rename: (name: string) => string, tower: string): Promise<ModelFiles> {
  const text = JSON.parse(await readFile(`${folder}/config.json`, 'utf8')) as Record<string, unknown>;
  const file = await openSafetensors(bytesSource(await readFile(`${folder}/model.safetensors`), 'model.safetensors'));
  const entries = await Promise.all(
    [...file.tensors].map(async ([name, { shape }]) => ({
      name: rename(name),
      dtype: 'F32' as const,
      shape,
      data: new Uint8Array(await file.read(name)),
    })),
  );
  const images = [
    `${tower}vision_tower.vision_model.encoder.weight`,
    `${tower}multi_modal_projector.mm_input_projection_weight`,
  ].map((name) => ({ name, dtype: 'F32' as const, shape: [1], data: new Uint8Array(4) }));
  const config = { model_type: 'gemma3', text_config: text, vision_config: {}, eos_token_id: [1, 5] };
  return filesBy(
    {
      'config.json': bytesSource(new TextEncoder().encode(JSON.stringify(config)), 'config.json'),
      'model.safetensors': bytesSource(serializeSafetensors([...entries, ...images]), 'model.safetensors'),
    },
    'here',
  );
}

async function logitsOf(model: CausalModel): Promise<Float64Array> {
  const ids = tensor(
    Int32Array.from({ length: 12 }, (_, at) => 3 + 7 * at),
    [1, 12],
  );
  const hidden = model.hidden(ids, {
    positions: tensor(
      Int32Array.from({ length: 12 }, (_, at) => at),
      [1, 12],
    ),
  });
  const [logits = new Float64Array()] = await evaluateReference([
    model.logits(reshape(hidden, [12, model.shape.hiddenSize])),
  ]);
  return logits;
}

describe.each<[string, (name: string) => string, string]>([
  ['as transformers 5 names it', (name) => name.replace(/^model\./, 'model.language_model.'), 'model.'],
  ['as it was published', (name) => `language_model.${name}`, ''],
])('a checkpoint of text and images, %s', (_, rename, tower) => {
  test('its text part is loaded, at the path that transformers 5 has it', async () => {
    const model = await loadCausalModel(await multimodal(rename, tower));
    expect(await logitsOf(model)).toEqual(await logitsOf(await loadCausalModel(await openFolder(folder))));
    expect(model.shape).toMatchObject({ modelType: 'gemma3', eosIds: [1, 5] });
    expect([...model.namedParameters()].map(([path]) => path)).toContain(
      'model.language_model.layers.2.self_attn.q_norm.weight',
    );
  });

  test('each stored name has its path; what is for images has none', async () => {
    const { file, pathOf } = await openModelWeights(await multimodal(rename, tower));
    expect(pathOf(rename('model.layers.0.mlp.up_proj.weight'))).toBe(
      'model.language_model.layers.0.mlp.up_proj.weight',
    );
    expect([...file.tensors.keys()].filter((name) => pathOf(name) === undefined).length).toBe(2);
  });
});

test('a config of text and images without its text part is told', async () => {
  const files = await multimodal((name) => name, '');
  const config = bytesSource(new TextEncoder().encode(JSON.stringify({ model_type: 'gemma3' })), 'config.json');
  await expect(
    loadCausalModel({ name: 'here', file: async (name) => (name === 'config.json' ? config : files.file(name)) }),
  ).rejects.toThrow(/text_config in here\/config\.json/);
});

test('the embedding’s factor is rounded as the table is', () => {
  expect(gemmaEmbeddingScale(1152, 'f32')).toBe(Math.sqrt(1152));
  expect(gemmaEmbeddingScale(1152, 'bf16')).toBe(34);
});
