import { loraConfig, LoraLinear } from '@lowrank/lora';
import type { Parameter } from '@lowrank/nn';
import { Embedding, Linear, Module, projected, TiedLinear } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { mul, reshape, Rng, tensor } from '@lowrank/tensor';
import { evaluateReference, sourceOf } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { activateAdapter } from './activateAdapter.js';
import { addAdapter } from './addAdapter.js';
import { loadAdapter } from './loadAdapter.js';
import { removeAdapter } from './removeAdapter.js';
import { saveAdapter } from './saveAdapter.js';
import { bankFor, openAdapterBank } from './adapterBank.js';
import { mergeAdapter, unmergeAdapter } from './mergeAdapter.js';
import { copiesOf } from './savedModules.js';
import { largestDifference, logitsOf, TinyModel } from './testing.js';
import { tokenLayers } from './tokenRows.js';

/** An embedding, a layer, and an output projection over the embedding's table. */
class Tied extends Module {
  constructor() {
    super();
    const rng = new Rng(2);
    const random = (...shape: number[]): Tensor =>
      tensor(
        Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.normal()),
        shape,
      );
    const embedding = this.child('embed_tokens', new Embedding(random(9, 4)));
    this.child('q_proj', new Linear(random(4, 4)));
    this.child('lm_head', new TiedLinear(embedding.weight));
  }

  async logits(): Promise<Float64Array> {
    const hidden = this.layer('q_proj').forward(
      this.layer('embed_tokens').forward(tensor(Int32Array.of(0, 3, 8, 1), [4])),
    );
    const head = this.getModule('lm_head');
    if (!('parts' in head && typeof head.parts === 'function')) throw new TypeError('no projection');
    const rows = reshape(hidden, [4, 4]);
    return (
      (await evaluateReference([projected(rows, head.parts(rows) as Parameters<typeof projected>[1])]))[0] ??
      new Float64Array()
    );
  }
}

const config = (given: object): ReturnType<typeof loraConfig> =>
  loraConfig({ targetModules: ['q_proj'], r: 2, ...given });

/** Other numbers in an adapter's copies and token rows. */
function stirWhole(model: Module, name = 'default'): void {
  const rng = new Rng(8);
  const held = [
    ...copiesOf(model, name).map(([, copy]) => copy),
    ...tokenLayers(model).flatMap(([, { adapters, leader }]) =>
      leader === undefined ? (adapters.get(name)?.rows ?? []) : [],
    ),
  ];
  for (const { own } of new Set<Parameter>(held))
    sourceOf(own).write(Float32Array.from({ length: own.size }, () => rng.normal()));
}

test('copies stand in for what they were made of, are trained alone, and go away', async () => {
  const model = new TinyModel();
  const base = await logitsOf(model);
  const before = [...model.namedModules()].map(([path]) => path);
  const { parameters: trained } = await addAdapter(
    model,
    config({ modulesToSave: ['embed_tokens', 'lm_head', '1.down_proj'], targetModules: ['q_proj', 'down_proj'] }),
  );
  expect(trained.map(({ name }) => name).filter((name) => !name.includes('lora_'))).toEqual([
    'model.embed_tokens.weight',
    'model.layers.1.down_proj.weight',
    'lm_head.weight',
  ]);
  // None of them is a target.
  expect(trained.map(({ name }) => name)).not.toContain('model.layers.1.down_proj.lora_A');
  expect(
    [...model.namedParameters()].filter(([, { trainable }]) => trainable).every(([name]) => name.includes('lora_')),
  ).toBe(true);
  expect(await logitsOf(model)).toEqual(base);
  stirWhole(model);
  const changed = await logitsOf(model);
  expect(largestDifference(changed, base)).toBeGreaterThan(0.1);
  const off = activateAdapter(model, [], () => model.forward());
  expect((await evaluateReference([off]))[0]).toEqual(base);
  activateAdapter(model, []);
  expect(await logitsOf(model)).toEqual(base);
  activateAdapter(model, ['default']);
  expect(await logitsOf(model)).toEqual(changed);
  removeAdapter(model, 'default');
  expect(await logitsOf(model)).toEqual(base);
  expect([...model.namedModules()].map(([path]) => path)).toEqual(before);
});

test('two adapters have their own copies, one at a time', async () => {
  const model = new TinyModel();
  await addAdapter(model, config({ modulesToSave: ['lm_head'] }), { name: 'a' });
  stirWhole(model, 'a');
  const ofA = await logitsOf(model);
  await addAdapter(model, config({ modulesToSave: ['lm_head'], trainableTokenIndices: [3] }), { name: 'b' });
  expect(() => activateAdapter(model, ['a', 'b'])).toThrow(
    /adapters a and b: expected one that has lm_head\.weight saved whole/,
  );
  activateAdapter(model, ['a']);
  expect(await logitsOf(model)).toEqual(ofA);
  const saved = await saveAdapter(model, { name: 'a' });
  expect([...(saved.whole ?? [])].map(([name, { shape }]) => [name, shape])).toEqual([['lm_head.weight', [9, 6]]]);
  const other = new TinyModel();
  await loadAdapter(other, saved);
  expect(await logitsOf(other)).toEqual(ofA);
  removeAdapter(model);
  expect([...model.namedModules()].map(([path]) => path)).toEqual(
    [...new TinyModel().namedModules()].map(([path]) => path),
  );
});

test.each<[string, object]>([
  ['a copy of the embedding leaves the output projection', { modulesToSave: ['embed_tokens'] }],
  ['a copy of the output projection leaves the embedding', { modulesToSave: ['lm_head'] }],
  ['one copy serves both where weights stay tied', { modulesToSave: ['lm_head'], ensureWeightTying: true }],
  ['token rows are those of both', { trainableTokenIndices: [3, 8] }],
  ['token rows of each apart', { trainableTokenIndices: { embed_tokens: [3], lm_head: [8] } }],
])('over tied weights %s, and a merge of A and B leaves them', async (_, given) => {
  const model = new Tied();
  const base = await model.logits();
  await addAdapter(model, config(given));
  expect(largestDifference(await model.logits(), base)).toBeLessThan(1e-6);
  stirWhole(model);
  const changed = await model.logits();
  expect(largestDifference(changed, base)).toBeGreaterThan(0.1);
  await mergeAdapter(model);
  expect(largestDifference(await model.logits(), changed)).toBeLessThan(1e-5);
});

test('LoRA over tied weights is of one of the two', async () => {
  const logits: Float64Array[] = [];
  for (const targetModules of [['lm_head'], ['embed_tokens']]) {
    const model = new Tied();
    const base = await model.logits();
    const { parameters: trained } = await addAdapter(model, config({ targetModules }));
    trained.forEach(({ parameter: { own } }, at) =>
      sourceOf(own).write(Float32Array.from({ length: own.size }, (_, i) => Math.sin(i + at))),
    );
    logits.push(await model.logits());
    expect(largestDifference(logits.at(-1) ?? [], base)).toBeGreaterThan(0.1);
  }
  expect(logits[0]).not.toEqual(logits[1]);
});

test('LoRA on the output projection is merged in place and taken out again', async () => {
  const model = new TinyModel();
  const { parameters: trained } = await addAdapter(model, config({ targetModules: ['lm_head'] }));
  trained.forEach(({ parameter: { own } }, at) =>
    sourceOf(own).write(Float32Array.from({ length: own.size }, (_, i) => Math.sin(i + at))),
  );
  const head = model.getModule('lm_head');
  if (!(head instanceof LoraLinear)) throw new TypeError('no adapter');
  const x = tensor(
    Float32Array.from({ length: 12 }, (_, at) => Math.cos(at)),
    [2, 6],
  );
  const values = async (): Promise<Float64Array> =>
    (await evaluateReference([projected(x, head.parts(x))]))[0] ?? new Float64Array();
  const before = await values();
  await mergeAdapter(model);
  expect(head.parts(x).terms).toEqual([]);
  expect(largestDifference(await values(), before)).toBeLessThan(1e-5);
  await unmergeAdapter(model);
  expect(head.parts(x).terms).toHaveLength(1);
  expect(largestDifference(await values(), before)).toBeLessThan(1e-5);
});

test('a bank refuses what it has no slots for', async () => {
  const model = new TinyModel();
  const given = config({ modulesToSave: ['lm_head'], trainableTokenIndices: [3] });
  await addAdapter(model, given);
  const saved = await saveAdapter(model);
  const bank = openAdapterBank(new TinyModel(), bankFor([saved]));
  await expect(bank.prepare(saved)).rejects.toThrow(/modules saved whole \(lm_head\); trained token rows/);
  bank.dispose();
});

test.each<[object, RegExp]>([
  [{ modulesToSave: ['none'] }, /modules_to_save none: expected the end of some module’s path/],
  [
    { modulesToSave: ['layers'], targetModules: ['lm_head'] },
    /modules_to_save at model\.layers: expected a module with weights/,
  ],
  [
    { modulesToSave: ['j'] },
    /modules_to_save at model\.layers\.0\.self_attn\.q_proj: expected a module without adapters/,
  ],
  [{ trainableTokenIndices: [9] }, /trained token 9: expected an id below/],
  [{ trainableTokenIndices: { q_proj: [1] } }, /trainable_token_indices at .*q_proj: expected a module without LoRA/],
  [{ trainableTokenIndices: { self_attn: [1] } }, /trainable_token_indices at .*self_attn: expected an embedding/],
  [{ trainableTokenIndices: { nothing: [1] } }, /trainable_token_indices of nothing: .*no match/],
  [{ trainableTokenIndices: [1], modulesToSave: ['embed_tokens'] }, /expected a module that is not in modules_to_save/],
])('%j is refused, and the model is as it was', async (given, words) => {
  const model = new TinyModel();
  const [base, modules] = [await logitsOf(model), [...model.namedModules()].map(([path]) => path)];
  await expect(addAdapter(model, config(given))).rejects.toThrow(words);
  expect([...model.namedModules()].map(([path]) => path)).toEqual(modules);
  expect(await logitsOf(model)).toEqual(base);
});

test('what cannot be done with them is refused', async () => {
  const model = new TinyModel();
  await addAdapter(model, config({ modulesToSave: ['lm_head'] }));
  const saved = await saveAdapter(model);
  await expect(loadAdapter(new TinyModel(), { ...saved, whole: new Map() })).rejects.toThrow(
    /lm_head\.weight, saved whole: expected .*\[9, 6\].*got none/,
  );
  const tied = new Tied();
  await expect(addAdapter(tied, config({ targetModules: ['lm_head'], ensureWeightTying: true }))).rejects.toThrow(
    /ensure_weight_tying with LoRA at lm_head/,
  );
  await expect(
    addAdapter(tied, config({ trainableTokenIndices: { embed_tokens: [3], lm_head: [8] }, ensureWeightTying: true })),
  ).rejects.toThrow(/the same tokens for embed_tokens and lm_head/);
});

test(
  'a module is trained whole by one adapter or adapted by another, in whichever order they come, and a bank ' +
    'goes around neither',
  async () => {
    const model = new TinyModel();
    await addAdapter(model, config({ modulesToSave: ['1.down_proj', 'lm_head', 'embed_tokens'] }), {
      name: 'whole',
    });
    const modules = [...model.namedModules()].map(([path]) => path);
    for (const given of [
      { targetModules: ['down_proj'] },
      { targetModules: ['embed_tokens'] },
      { targetModules: ['v_proj'], trainableTokenIndices: [3] },
      { targetModules: ['v_proj'], trainableTokenIndices: { lm_head: [3] } },
    ]) {
      await expect(addAdapter(model, config(given), { name: 'other' })).rejects.toThrow(
        /expected a module that no other adapter has saved whole, got a copy of it in the adapter whole/,
      );
      expect([...model.namedModules()].map(([path]) => path)).toEqual(modules);
    }
    await expect(
      addAdapter(new Tied(), config({ modulesToSave: ['lm_head'], trainableTokenIndices: [3] })),
    ).rejects.toThrow(/modules_to_save at lm_head: expected an output projection that follows/);
    const rows = new TinyModel();
    await loadAdapter(rows, {
      config: config({ targetModules: [], peftType: 'TRAINABLE_TOKENS', trainableTokenIndices: [3] }),
      layers: new Map(),
      tokens: new Map([['model.embed_tokens', { rows: new Float32Array(6), width: 6 }]]),
    });
    expect(() => openAdapterBank(rows, { slots: 1, rank: 2 })).toThrow(
      /a bank of adapters around model\.embed_tokens: expected a layer of the model itself/,
    );
  },
);

test('biases of a module that is trained whole are its copies’ alone', async () => {
  const model = new TinyModel();
  model.setModule('lm_head', new Linear(tensor(new Float32Array(54), [9, 6]), tensor(new Float32Array(9), [9])));
  model.setModule(
    'model.layers.0.down_proj',
    new Linear(tensor(new Float32Array(36), [6, 6]), tensor(new Float32Array(6), [6])),
  );
  const own = config({ bias: 'all', modulesToSave: ['lm_head'] });
  const { parameters: trained } = await addAdapter(model, own);
  const names = trained.map(({ name }) => name).filter((name) => name.endsWith('.bias'));
  expect(names).toEqual(['model.layers.0.down_proj.bias', 'lm_head.bias']);
  expect(new Set(trained.map(({ parameter }) => parameter.tensor)).size).toBe(trained.length);
  expect([...((await saveAdapter(model)).whole?.keys() ?? [])]).toEqual([
    'model.layers.0.down_proj.bias',
    'lm_head.weight',
    'lm_head.bias',
  ]);
});

test(
  'merged in place, LoRA on an embedding and on the output projection of its table are taken out in ' + 'reverse',
  async () => {
    const model = new Tied();
    const base = await model.logits();
    for (const [name, given] of [
      ['table', { targetModules: ['embed_tokens'], useDora: true }],
      ['head', { targetModules: ['lm_head'] }],
    ] as const) {
      const { parameters: trained } = await addAdapter(model, config(given), { name });
      trained.forEach(({ parameter: { own } }, at) =>
        sourceOf(own).write(Float32Array.from({ length: own.size }, (_, i) => 1.5 + Math.sin(i + at))),
      );
    }
    activateAdapter(model, ['table', 'head']);
    await mergeAdapter(model);
    expect(largestDifference(await model.logits(), base)).toBeGreaterThan(0.1);
    await unmergeAdapter(model);
    removeAdapter(model);
    expect(largestDifference(await model.logits(), base)).toBeLessThan(1e-4 * Math.max(...base.map(Math.abs)));
  },
);

test('what cannot be merged as a whole is refused, and so is a weight that is computed', async () => {
  const model = new TinyModel();
  for (const [name, given] of [
    ['saved', { modulesToSave: ['lm_head'] }],
    ['rows', { trainableTokenIndices: [3] }],
  ] as const)
    await addAdapter(model, config(given), { name });
  activateAdapter(model, []);
  await expect(mergeAdapter(model, ['saved'])).rejects.toThrow(/merging saved: expected an active adapter.*lm_head/);
  await expect(mergeAdapter(model, ['rows'])).rejects.toThrow(/merging rows: expected an active adapter.*embed_tokens/);
  activateAdapter(model, ['saved']);
  expect(await mergeAdapter(model, ['saved'])).toHaveLength(3);
  await unmergeAdapter(model);
  const layer = model.getModule('model.layers.1.self_attn.q_proj.base_layer');
  if (!(layer instanceof Linear)) throw new TypeError('no layer');
  layer.weight.derive((stored) => mul(stored, 2));
  const before = await logitsOf(model);
  await expect(mergeAdapter(model)).rejects.toMatchObject({ code: 'patch.mergeDerived' });
  expect(await logitsOf(model)).toEqual(before);
});

test('biases of B that lie in the base’s are not saved as the base’s', async () => {
  const model = new TinyModel();
  model.setModule('lm_head', new Linear(tensor(new Float32Array(54), [9, 6]), tensor(new Float32Array(9), [9])));
  const own = config({ targetModules: ['lm_head'], loraBias: true, bias: 'lora_only' });
  await addAdapter(model, own);
  await mergeAdapter(model);
  await expect(saveAdapter(model)).rejects.toMatchObject({ code: 'patch.merged' });
  await unmergeAdapter(model);
  expect((await saveAdapter(model)).whole?.size).toBe(1);
});
