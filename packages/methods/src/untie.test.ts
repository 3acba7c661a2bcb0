import { loraConfig } from '@lowrank/lora';
import type { LoraAdapter } from '@lowrank/lora';
import { Embedding, Linear, Module, TiedLinear } from '@lowrank/nn';
import type { CheckpointTensor } from '@lowrank/patch';
import { tensor } from '@lowrank/tensor';
import { expect, test } from 'vitest';
import { TinyModel } from './testing.js';
import { untie } from './untie.js';

class Body extends Module {
  readonly table = this.child('embed_tokens', new Embedding(tensor(new Float32Array(48), [6, 8])));
}

/** A model as far as its ties go; untied, the output projection has a weight of its own. */
class Tied extends TinyModel {
  constructor(isTied = true) {
    super();
    const body = new Body();
    this.setModule('model', body);
    this.setModule(
      'lm_head',
      isTied ? new TiedLinear(body.table.weight) : new Linear(tensor(new Float32Array(48), [6, 8])),
    );
  }
}

const tied = new Tied();
const table: CheckpointTensor = {
  name: 'model.embed_tokens.weight',
  dtype: 'F32',
  shape: [6, 8],
  read: () => Promise.resolve(Uint8Array.of(7)),
};
const whole = (...names: string[]): LoraAdapter['whole'] =>
  new Map(names.map((name) => [name, { dtype: 'F32' as const, shape: [6, 8], data: new Uint8Array(192) }]));
const adapter = (given: Partial<LoraAdapter>, settings: object = {}): LoraAdapter => ({
  config: loraConfig({ targetModules: ['q_proj'], ...settings }),
  layers: new Map(),
  ...given,
});
const rows = { rows: new Float32Array(8), width: 8 };
const lora = { a: new Float32Array(8), b: new Float32Array(6), rank: 1, inFeatures: 8, outFeatures: 6 };

test.each<[string, LoraAdapter, boolean]>([
  ['nothing of either', adapter({}), false],
  ['the embedding saved whole', adapter({ whole: whole('model.embed_tokens.weight') }), true],
  ['the output projection saved whole', adapter({ whole: whole('lm_head.weight') }), true],
  [
    'both, kept tied',
    adapter({ whole: whole('lm_head.weight', 'model.embed_tokens.weight') }, { ensureWeightTying: true }),
    false,
  ],
  ['both, apart', adapter({ whole: whole('lm_head.weight', 'model.embed_tokens.weight') }), true],
  ['LoRA on the output projection', adapter({ layers: new Map([['lm_head', lora]]) }), true],
  ['LoRA on the embedding', adapter({ layers: new Map([['model.embed_tokens', { ...lora, embedding: true }]]) }), true],
  [
    'token rows that both have',
    adapter({ tokens: new Map([['model.embed_tokens', rows]]) }, { trainableTokenIndices: [1] }),
    false,
  ],
  [
    'token rows of each',
    adapter(
      {
        tokens: new Map([
          ['model.embed_tokens', rows],
          ['lm_head', rows],
        ]),
      },
      { trainableTokenIndices: { embed_tokens: [1], lm_head: [2] } },
    ),
    true,
  ],
  [
    'token rows alone, which PEFT saves twice',
    adapter(
      {
        tokens: new Map([
          ['model.embed_tokens', rows],
          ['lm_head', rows],
        ]),
      },
      { targetModules: [], peftType: 'TRAINABLE_TOKENS', trainableTokenIndices: [1] },
    ),
    false,
  ],
])('%s', async (_, given, parted) => {
  const result = untie(tied, given, [table]);
  expect(result.parted).toBe(parted);
  expect(result.tensors.map(({ name }) => name)).toEqual(parted ? [table.name, 'lm_head.weight'] : [table.name]);
  if (parted) expect(await result.tensors[1]?.read()).toEqual(Uint8Array.of(7));
  else
    expect([
      result.adapter.whole?.has('lm_head.weight') ?? false,
      result.adapter.tokens?.has('lm_head') ?? false,
    ]).toEqual([false, false]);
});

test('the table that was saved with an adapted embedding is the output projection’s too', async () => {
  const given = adapter({
    layers: new Map([['model.embed_tokens', { ...lora, embedding: true }]]),
    whole: whole('model.embed_tokens.base_layer.weight'),
  });
  expect(await untie(tied, given, [table]).tensors[1]?.read()).toEqual(new Uint8Array(192));
});

test(
  'a model with an output projection of its own is left as it is, and so is a copy that the file has ' + 'already',
  () => {
    const given = adapter({ layers: new Map([['lm_head', lora]]) });
    expect(untie(new Tied(false), given, [table])).toEqual({
      adapter: given,
      tensors: [table],
      parted: false,
    });
    const copy = { ...table, name: 'lm_head.weight' };
    expect(untie(tied, given, [table, copy]).tensors).toHaveLength(2);
  },
);
