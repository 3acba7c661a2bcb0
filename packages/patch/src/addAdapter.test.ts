import type { LoraAdapter } from '@lowrank/lora';
import { LoraLinear, loraConfig } from '@lowrank/lora';
import { grad, square, sum } from '@lowrank/tensor';
import { evaluateReference } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { activateAdapter } from './activateAdapter.js';
import { adaptedLayers } from './adaptedLayers.js';
import { addAdapter } from './addAdapter.js';
import { loadAdapter } from './loadAdapter.js';
import { removeAdapter } from './removeAdapter.js';
import { saveAdapter } from './saveAdapter.js';
import { largestDifference, logitsOf, randomAdapter, stir, TinyModel } from './testing.js';

const config = loraConfig({
  targetModules: ['q_proj', 'v_proj'],
  r: 2,
  alpha: 4,
  rankPattern: { 'layers.1.self_attn.v_proj': 3 },
});
const qPaths = [0, 1, 2].map((layer) => `model.layers.${layer}.self_attn.q_proj`);
const qConfig = loraConfig({ targetModules: ['q_proj'], r: 2 });

test('a new adapter changes nothing, and is all that trains', async () => {
  const model = new TinyModel();
  const before = await logitsOf(model);
  const { parameters: trained } = await addAdapter(model, config, { seed: 3 });
  expect(await logitsOf(model)).toEqual(before);
  expect(trained.map(({ name }) => name).slice(0, 2)).toEqual([
    'model.layers.0.self_attn.q_proj.lora_A',
    'model.layers.0.self_attn.q_proj.lora_B',
  ]);
  expect(trained.length).toBe(12);
  const training = [...model.namedParameters()].filter(([, { trainable }]) => trainable);
  expect(training.map(([, parameter]) => parameter)).toEqual(
    expect.arrayContaining(trained.map(({ parameter }) => parameter)),
  );
  expect(training.length).toBe(12);
  expect(adaptedLayers(model).get('model.layers.1.self_attn.v_proj')?.adapters.get('default')?.a.tensor.shape).toEqual([
    3, 6,
  ]);
});

test('what does not go together, and patterns that nobody can read, are refused before anything changes', async () => {
  const model = new TinyModel();
  const targetModules = ['q_proj'];
  for (const [given, message] of [
    [{ targetModules, useDora: true, loraBias: true }, /loraBias with useDora/],
    [{ targetModules: '.*(q_proj' }, /the module pattern.*regular expression of Python/],
    [{ targetModules, rankPattern: { '[': 4 } }, /the module pattern/],
    [{ targetModules: [] }, /targetModules: expected names/],
  ] as const)
    await expect(addAdapter(model, loraConfig(given))).rejects.toMatchObject({
      code: 'lora.config',
      message: expect.stringMatching(message) as string,
    });
  expect(adaptedLayers(model).size).toBe(0);
});

test('every matrix of the adapter gets a gradient', async () => {
  const model = new TinyModel();
  const { parameters: trained } = await addAdapter(model, config);
  stir(model);
  const gradients = await evaluateReference(
    grad(
      sum(square(model.forward())),
      trained.map(({ parameter }) => parameter.tensor),
    ),
  );
  for (const [at, gradient] of gradients.entries())
    expect([trained[at]?.name, gradient.some((value) => value !== 0)]).toEqual([trained[at]?.name, true]);
});

test('the seed makes the adapter', async () => {
  const first = async (seed: number): Promise<Float32Array | undefined> => {
    const model = new TinyModel();
    await addAdapter(model, config, { seed });
    return (await saveAdapter(model)).layers.get(qPaths[0] ?? '')?.a;
  };
  expect(await first(3)).toEqual(await first(3));
  expect(await first(4)).not.toEqual(await first(3));
});

test('what is extracted loads again and computes the same', async () => {
  const model = new TinyModel();
  await addAdapter(model, config);
  stir(model);
  const adapter = await saveAdapter(model);
  const other = new TinyModel();
  await loadAdapter(other, adapter);
  expect(await logitsOf(other)).toEqual(await logitsOf(model));
});

test('off is the base, also after an error, and on again after it', async () => {
  const model = new TinyModel();
  const base = await logitsOf(model);
  await addAdapter(model, config);
  stir(model);
  const adapted = await logitsOf(model);
  expect(largestDifference(adapted, base)).toBeGreaterThan(0.01);
  const [off] = await evaluateReference([activateAdapter(model, [], () => model.forward())]);
  expect(off).toEqual(base);
  expect(() =>
    activateAdapter(model, [], () => {
      throw new Error('no');
    }),
  ).toThrow('no');
  expect(await logitsOf(model)).toEqual(adapted);
});

test('several adapters: one at a time, together, and none', async () => {
  const model = new TinyModel();
  const base = await logitsOf(model);
  await loadAdapter(model, randomAdapter(qConfig, qPaths, { seed: 1 }), { name: 'a' });
  const a = await logitsOf(model);
  await loadAdapter(model, randomAdapter(qConfig, qPaths, { seed: 2 }), { name: 'b' });
  const b = await logitsOf(model);
  expect(largestDifference(a, b)).toBeGreaterThan(0.01);
  activateAdapter(model, ['a', 'b']);
  const both = await logitsOf(model);
  expect(largestDifference(both, a)).toBeGreaterThan(0.01);
  activateAdapter(model, []);
  expect(await logitsOf(model)).toEqual(base);
  activateAdapter(model, ['a']);
  expect(await logitsOf(model)).toEqual(a);
  expect(() => activateAdapter(model, ['a', 'c'])).toThrow(/adapter c.*one of a, b/);
  removeAdapter(model, 'a');
  activateAdapter(model, ['b']);
  expect(await logitsOf(model)).toEqual(b);
  removeAdapter(model, 'b');
  expect(adaptedLayers(model).size).toBe(0);
  expect(() => removeAdapter(model, 'b')).toThrow(/adapter b.*to be loaded/);
});

test('two adapters that sum to a third compute what it computes', async () => {
  const [one, two] = [randomAdapter(qConfig, qPaths, { seed: 1 }), randomAdapter(qConfig, qPaths, { seed: 2 })];
  const sumOf: LoraAdapter = {
    config: loraConfig({ targetModules: ['q_proj'], r: 4 }),
    layers: new Map(
      qPaths.map((path) => {
        const [x, y] = [one.layers.get(path), two.layers.get(path)];
        if (x === undefined || y === undefined) throw new TypeError(path);
        const b = Float32Array.from(
          { length: 24 },
          (_, at) =>
            (at % 4 < 2 ? x.b[Math.floor(at / 4) * 2 + (at % 4)] : y.b[Math.floor(at / 4) * 2 + (at % 4) - 2]) ?? NaN,
        );
        return [path, { ...x, a: Float32Array.of(...x.a, ...y.a), b, rank: 4 }];
      }),
    ),
  };
  const model = new TinyModel();
  await loadAdapter(model, one, { name: 'one' });
  await loadAdapter(model, two, { name: 'two' });
  activateAdapter(model, ['one', 'two']);
  const other = new TinyModel();
  await loadAdapter(other, sumOf);
  expect(largestDifference(await logitsOf(model), await logitsOf(other))).toBeLessThan(1e-4);
});

test('unloaded, the very layers are back', async () => {
  const model = new TinyModel();
  const layer = model.getModule(qPaths[0] ?? '');
  const base = await logitsOf(model);
  await addAdapter(model, config);
  stir(model);
  expect(model.getModule(qPaths[0] ?? '')).toBeInstanceOf(LoraLinear);
  removeAdapter(model);
  expect(model.getModule(qPaths[0] ?? '')).toBe(layer);
  expect(await logitsOf(model)).toEqual(base);
});

test('all-linear is saved as names: short ones where they say the same', async () => {
  const all = loraConfig({ targetModules: 'all-linear', r: 2 });
  const model = new TinyModel();
  await addAdapter(model, all);
  expect((await saveAdapter(model)).config.targetModules).toEqual(['down_proj', 'q_proj', 'v_proj']);
  const fewer = { ...all, excludeModules: ['layers.0.down_proj'] };
  const other = new TinyModel();
  await addAdapter(other, fewer);
  expect((await saveAdapter(other)).config.targetModules).toHaveLength(8);
});

test('an adapter that does not fit is refused before anything is changed', async () => {
  const good = randomAdapter(qConfig, qPaths);
  const cases: [LoraAdapter, RegExp][] = [
    [
      { ...good, layers: new Map([...good.layers].slice(1)) },
      /layers\.0\.self_attn\.q_proj: in target_modules, but without matrices/,
    ],
    [
      {
        ...good,
        layers: new Map([...good.layers, ...randomAdapter(qConfig, ['model.layers.9.self_attn.q_proj']).layers]),
      },
      /layers\.9\.self_attn\.q_proj: no such target/,
    ],
    [randomAdapter(qConfig, qPaths, { rank: 3 }), /rank 3, the configuration says 2/],
    [
      { ...good, layers: new Map([...good.layers].map(([path, matrices]) => [path, { ...matrices, inFeatures: 5 }])) },
      /5 → 6, the layer is 6 → 6/,
    ],
  ];
  for (const [adapter, message] of cases) {
    const model = new TinyModel();
    await expect(loadAdapter(model, adapter)).rejects.toThrow(message);
    expect(adaptedLayers(model).size).toBe(0);
  }
  const model = new TinyModel();
  await addAdapter(model, qConfig);
  await expect(loadAdapter(model, good)).rejects.toThrow(/adapter default.*not taken/);
  await expect(addAdapter(model, config)).rejects.toThrow(/adapter default.*not taken/);
  expect(adaptedLayers(model).size).toBe(3);
});

test('an adapter that is not there cannot be extracted', async () => {
  await expect(saveAdapter(new TinyModel())).rejects.toThrow(/adapter default/);
});
