import type { LoraAdapter, LoraConfig, NamedVariant } from '@lowrank/lora';
import { loraConfig } from '@lowrank/lora';
import { add, fromNumbers, full, mul, Rng } from '@lowrank/tensor';
import { evaluateReference, sourceOf } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { bankFor, openAdapterBank } from './adapterBank.js';
import { adaptedLayers } from './adaptedLayers.js';
import { addAdapter } from './addAdapter.js';
import { loadAdapter } from './loadAdapter.js';
import { removeAdapter } from './removeAdapter.js';
import { saveAdapter } from './saveAdapter.js';
import { mergeAdapter, unmergeAdapter } from './mergeAdapter.js';
import { largestDifference, logitsOf, randomAdapter, stir, TinyModel } from './testing.js';

const config = (given: Partial<LoraConfig> = {}): LoraConfig =>
  loraConfig({ targetModules: ['q_proj'], r: 2, alpha: 4, ...given });
const paths = (name: string): string[] => [0, 1, 2].map((layer) => `model.layers.${layer}.self_attn.${name}`);
const adapter = randomAdapter(config(), paths('q_proj'), { seed: 1 });

async function alone(given: LoraAdapter): Promise<Float64Array> {
  const model = new TinyModel();
  await loadAdapter(model, given);
  return logitsOf(model);
}

/** Numbers in both halves, of embeddings too. */
function stirAll(model: TinyModel): void {
  for (const [at, { adapters, embedding }] of [...adaptedLayers(model).values()].entries()) {
    const rng = new Rng(5, at);
    const { a, b } = adapters.get('default') ?? {};
    for (const parameter of embedding ? [a, b] : [b])
      if (parameter !== undefined)
        sourceOf(parameter.tensor).write(
          Float32Array.from({ length: parameter.tensor.size }, () => 0.3 * rng.normal()),
        );
  }
}

function expectNear(got: Float64Array, want: Float64Array, share = 1e-6): void {
  expect(largestDifference(got, want)).toBeLessThan(share * Math.max(...want.map(Math.abs)));
}

test.each<Partial<LoraConfig>>([
  {},
  { useRslora: true, alphaPattern: { '1.self_attn.q_proj': 9 } },
  { rankPattern: { '2.self_attn.q_proj': 3 } },
  { useDora: true },
  { loraBias: true },
  { init: 'pissa' },
  { init: 'olora', useRslora: true },
  { targetModules: ['embed_tokens', 'down_proj'] },
  { targetModules: ['embed_tokens'], useDora: true },
])('%j in a bank computes what it computes in the layers', async (given) => {
  const model = new TinyModel();
  const own = config(given);
  await addAdapter(model, own);
  stirAll(model);
  const [want, made] = [await logitsOf(model), await saveAdapter(model)];
  removeAdapter(model);
  const base = await logitsOf(model);
  expect(largestDifference(want, base)).toBeGreaterThan(1e-3);
  const bank = openAdapterBank(model, bankFor([made, adapter]));
  await bank.load('made', made);
  expect(await logitsOf(model)).toEqual(base);
  bank.use('made');
  expectNear(await logitsOf(model), want);
  await bank.load('made', adapter);
  expectNear(await logitsOf(model), await alone(adapter));
  bank.dispose();
  expect(await logitsOf(model)).toEqual(base);
});

test('adapters of PEFT that began as a part of W and were not converted need twice their rank', async () => {
  const model = new TinyModel();
  const own = config({ init: 'pissa' });
  await addAdapter(model, own);
  stir(model);
  const want = await logitsOf(model);
  const { layers } = await saveAdapter(model);
  removeAdapter(model);
  // As PEFT saves it: A and B alone, and what they began as is found again.
  const halves = new Map(
    [...layers].map(([path, { a, b, inFeatures, outFeatures }]) => [
      path,
      {
        a: a.slice(0, 2 * inFeatures),
        b: Float32Array.from({ length: 2 * outFeatures }, (_, at) => b[4 * Math.floor(at / 2) + (at % 2)] ?? NaN),
        rank: 2,
        inFeatures,
        outFeatures,
      },
    ]),
  );
  const file: LoraAdapter = { config: own, layers: halves };
  expect(bankFor([file])).toMatchObject({ slots: 1, rank: 4, targetModules: paths('q_proj') });
  const small = openAdapterBank(model, { slots: 1, rank: 3 });
  await expect(small.load('it', file)).rejects.toThrow(/rank 4 \(twice 2.*the bank has 3/);
  small.dispose();
  const bank = openAdapterBank(model, bankFor([file]));
  await bank.load('it', file);
  bank.use('it');
  expectNear(await logitsOf(model), want, 1e-5);
});

test('loading, unloading, replacing: slots are found again, rows follow, names are checked', async () => {
  const model = new TinyModel();
  const base = await logitsOf(model);
  const other = randomAdapter(config({ r: 1, useRslora: true }), paths('q_proj'), { seed: 2 });
  const bank = openAdapterBank(model, { slots: 2, rank: 2 });
  await bank.load('one', adapter);
  const prepared = await bank.prepare(other);
  bank.put('two', prepared);
  await expect(bank.load('three', other)).rejects.toThrow(/at most 2 adapters.*one, two/);
  bank.use({ one: 1, two: -0.5 });
  expect(bank.rows.map((row) => [...row])).toEqual([
    [
      ['one', 1],
      ['two', -0.5],
    ],
  ]);
  bank.unload('one');
  expect([bank.names, bank.rows.map((row) => [...row])]).toEqual([['two'], [[['two', -0.5]]]]);
  bank.put('three', prepared);
  bank.use(['three']);
  expectNear(await logitsOf(model), await alone(other));
  bank.use({ two: 2, three: -1 });
  expectNear(await logitsOf(model), await alone(other));
  bank.use('__base__');
  expect(await logitsOf(model)).toEqual(base);
  expect(() => bank.use('one')).toThrow(/adapter one.*two, three, or __base__/);
  expect(() => bank.use({ two: NaN })).toThrow(/finite/);
  expect(() => bank.unload('one')).toThrow(/unknown/);
  await expect(bank.load('__base__', other)).rejects.toThrow(/name/);
  expect(() => bank.useRows(['two'])).toThrow(/opened for several rows/);
  const second = new TinyModel();
  const foreign = openAdapterBank(second, { slots: 1, rank: 2 });
  expect(() => foreign.put('two', prepared)).toThrow(/another bank/);
});

test('off within a scope, also nested and when it fails; a choice made within takes effect after it', async () => {
  const model = new TinyModel();
  const base = await logitsOf(model);
  const bank = openAdapterBank(model, { slots: 1, rank: 2 });
  await bank.load('it', adapter);
  const off = await bank.withBase(async () => {
    bank.use('it');
    await bank.withBase(() => undefined);
    return logitsOf(model);
  });
  expect(off).toEqual(base);
  const want = await alone(adapter);
  expectNear(await logitsOf(model), want);
  await expect(bank.withBase(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expectNear(await logitsOf(model), want);
});

test('what does not fit is an error at once, and nothing is changed', async () => {
  const model = new TinyModel();
  const bank = openAdapterBank(model, { slots: 1, rank: 2, targetModules: ['q_proj', 'embed_tokens'] });
  const before = await logitsOf(model);
  const [path = ''] = paths('q_proj');
  const broken = (change: object): LoraAdapter => ({
    ...adapter,
    layers: new Map([...adapter.layers].map(([key, value]) => [key, key === path ? { ...value, ...change } : value])),
  });
  const cases: [LoraAdapter, RegExp][] = [
    [randomAdapter(config({ targetModules: ['v_proj'] }), paths('v_proj')), /v_proj: no layer of the bank/],
    [randomAdapter(config({ r: 3 }), paths('q_proj')), /q_proj: rank 3, the bank has 2/],
    [
      { ...adapter, layers: new Map([...adapter.layers].slice(1)) },
      /0\.self_attn\.q_proj: in target_modules, but without matrices/,
    ],
    [broken({ embedding: true }), /made for an embedding/],
    [broken({ inFeatures: 5 }), /made for 5 → 6, the layer is 6 → 6/],
    [broken({ a: new Float32Array(12).fill(NaN) }), /not finite/],
    [randomAdapter(config({ useDora: true }), paths('q_proj')), /use_dora, and the bank was opened without/],
    [randomAdapter(config({ loraBias: true }), paths('q_proj')), /lora_bias, and the bank was opened without/],
    [
      {
        ...adapter,
        whole: new Map([['model.norm.bias', { dtype: 'F32' as const, shape: [6], data: new Uint8Array(24) }]]),
      },
      /model\.norm\.bias: saved whole/,
    ],
  ];
  for (const [given, message] of cases) await expect(bank.load('it', given)).rejects.toThrow(message);
  expect([bank.names, await logitsOf(model)]).toEqual([[], before]);
  for (const sizes of [
    { slots: 0, rank: 1 },
    { slots: 1, rank: 1.5 },
    { slots: 1, rank: 1, rows: 0 },
  ])
    expect(() => openAdapterBank(new TinyModel(), sizes)).toThrow(/at least 1/);
  expect(() => openAdapterBank(model, { slots: 1, rank: 2 })).toThrow(/adapters around it/);
  await expect(addAdapter(model, config({ targetModules: ['v_proj'] }))).rejects.toThrow(/without a bank of adapters/);
  bank.dispose();
  await expect(bank.load('it', adapter)).rejects.toThrow(/disposed/);
});

test('an embedding’s table that PEFT saved along is no hindrance where it is the model’s own', async () => {
  const model = new TinyModel();
  const own = config({ targetModules: ['embed_tokens'] });
  await addAdapter(model, own);
  const made = await saveAdapter(model);
  removeAdapter(model);
  const table = model.getModule('model.embed_tokens').ownParameters().get('weight')?.tensor;
  if (table === undefined) throw new TypeError('no table');
  const values = fromNumbers((await evaluateReference([table]))[0] ?? [], 'f32');
  const whole = (data: Float32Array): LoraAdapter => ({
    ...made,
    whole: new Map([
      [
        'model.embed_tokens.base_layer.weight',
        { dtype: 'F32' as const, shape: table.shape, data: new Uint8Array(data.buffer) },
      ],
    ]),
  });
  const bank = openAdapterBank(model, bankFor([made]));
  await bank.load('it', whole(Float32Array.from(values)));
  await expect(bank.load('it', whole(Float32Array.from(values, (value) => value + 1)))).rejects.toThrow(
    /not what the model has/,
  );
});

test('no bank around adapters, merged or not', async () => {
  const model = new TinyModel();
  await loadAdapter(model, adapter);
  expect(() => openAdapterBank(model, { slots: 1, rank: 2 })).toThrow(/one with adapters around it/);
  await mergeAdapter(model);
  expect(() => openAdapterBank(model, { slots: 1, rank: 2 })).toThrow(/one with merged adapters/);
  await unmergeAdapter(model);
  removeAdapter(model);
  openAdapterBank(model, { slots: 1, rank: 2 }).dispose();
});

test('a user’s variant that is a factor works in a bank as in the layers', async () => {
  const factor = 1.5;
  const variant: NamedVariant = {
    name: 'more',
    forward: ({ layer, weights, x, base }) =>
      add(mul(layer.withoutBias(base), factor - 1), mul(layer.product(x, weights), factor)),
    factor: ({ outFeatures }) => full([outFeatures], factor),
    mergeRow: () => 1,
  };
  const given = randomAdapter(config({ variant }), paths('q_proj'));
  const model = new TinyModel();
  const bank = openAdapterBank(model, bankFor([given]));
  await bank.load('it', given);
  bank.use('it');
  expectNear(await logitsOf(model), await alone(given));
  bank.dispose();
  const without = openAdapterBank(model, { ...bankFor([given]), useDora: false });
  await expect(without.load('it', given)).rejects.toThrow(/the variant more, and the bank was opened without useDora/);
});

test('a model is freed with the bank around its layers', async () => {
  const model = new TinyModel();
  const bank = openAdapterBank(model, bankFor([adapter]));
  await bank.load('it', adapter);
  model.dispose();
  await expect(logitsOf(model)).rejects.toThrow(/disposed/);
});
