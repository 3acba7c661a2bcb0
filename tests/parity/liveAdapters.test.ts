import { createCpuBackend } from '@lowrank/cpu';
import { LoraLayer } from '@lowrank/lora';
import {
  activateAdapter,
  bankFor,
  loadAdapter,
  mergeAdapter,
  openAdapterBank,
  removeAdapter,
  unmergeAdapter,
} from '@lowrank/patch';
import type { Backend } from '@lowrank/tensor';
import { readTensor } from '@lowrank/tensor';
import { sourceOf } from '@lowrank/tensor/op';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LiveCase } from './liveCases.js';
import { compileLogits, expectSame, largest, openLiveCase, rows, rowsOf } from './liveCases.js';

let backend: Backend;
/** Plans that the backend was given. */
let prepared = 0;
beforeAll(async () => {
  backend = await createCpuBackend();
  const prepare = backend.prepare.bind(backend);
  backend.prepare = (...given) => {
    prepared++;
    return prepare(...given);
  };
});
afterAll(() => backend.dispose());

const names = ['plain', 'biased'] as const;

describe.each(names)('%s: a bank of adapters', (name) => {
  let live: LiveCase;
  beforeAll(async () => (live = await openLiveCase(name)));

  test('sets, sums with weights, mixes rows and switches off as PEFT does, with one plan', async () => {
    const model = await live.openModel();
    const adapters = new Map(
      await Promise.all(Object.keys(live.adapters).map(async (key) => [key, await live.openAdapter(key)] as const)),
    );
    const bank = openAdapterBank(model, { ...bankFor([...adapters.values()]), rows });
    for (const [key, adapter] of adapters) await bank.load(key, adapter);
    const logits = compileLogits(backend, model, live);
    const base = await live.answer('base');
    expectSame(await logits.run(), base);
    const before = prepared;
    const { buffers } = backend.memory;
    const alone = new Map([['__base__', base]]);
    for (const key of adapters.keys()) {
      bank.use(key);
      alone.set(key, await logits.run());
      expectSame(alone.get(key) ?? base, await live.answer(key));
      expectSame(await bank.withBase(() => logits.run()), base);
      // After the scope the adapter is back, to the bit.
      expect(await logits.run()).toEqual(alone.get(key));
    }
    for (const [at, mixed] of live.mixed.entries()) {
      bank.useRows(mixed);
      expectSame(await logits.run(), await live.answer(`mixed.${at}`));
    }
    // Row by row also what PEFT refuses: DoRA among them, and sums.
    const [one = '', two = ''] = adapters.keys();
    bank.useRows([two, undefined, one]);
    expectSame(await logits.run(), rowsOf([await live.answer(two), base, await live.answer(one)]), 2e-4);
    for (const [at, weights] of live.active.entries()) {
      bank.use(weights);
      expectSame(await logits.run(), await live.answer(`active.${at}`));
      bank.useRows([undefined, weights]);
      expectSame(await logits.run(), rowsOf([base, await live.answer(`active.${at}`), base]));
    }
    bank.use();
    expectSame(await logits.run(), base, 1e-5);
    expect([prepared - before, backend.memory.buffers - buffers]).toEqual([0, 0]);
    await logits.dispose();
    bank.dispose();
    const plain = compileLogits(backend, model, live);
    expectSame(await plain.run(), base, 1e-5);
    await plain.dispose();
    model.dispose();
  });

  test(
    'an adapter merged in place: PEFT’s logits in the same memory, with what was compiled before; unmerged it ' +
      'is as it was',
    async () => {
      for (const key of Object.keys(live.adapters)) {
        const model = await live.openModel();
        await loadAdapter(model, await live.openAdapter(key), { name: key });
        const beside = compileLogits(backend, model, live);
        const unmerged = await beside.run();
        const { bytes } = backend.memory;
        const layers = [...model.namedModules()].flatMap(([path, module]) =>
          module instanceof LoraLayer && module.active.length > 0 ? [path] : [],
        );
        expect(await mergeAdapter(model)).toEqual(layers);
        expect(backend.memory.bytes).toBe(bytes);
        expectSame(await beside.run(), await live.answer(`merged.${key}`));
        const alone = compileLogits(backend, model, live);
        expectSame(await alone.run(), await live.answer(`merged.${key}`));
        await unmergeAdapter(model);
        expectSame(await alone.run(), await live.answer('base'));
        expectSame(await beside.run(), unmerged);
        // PEFT's merge_and_unload after a merge and its reverse.
        await mergeAdapter(model);
        expectSame(await alone.run(), await live.answer(`mergedAndUnloaded.${key}`));
        for (const own of [beside, alone]) await own.dispose();
        model.dispose();
      }
    },
  );

  test('unloaded, a model is the base to the bit', async () => {
    const model = await live.openModel();
    const own = compileLogits(backend, model, live);
    const base = await own.run();
    expectSame(base, await live.answer('base'));
    for (const key of Object.keys(live.adapters)) await loadAdapter(model, await live.openAdapter(key), { name: key });
    const adapted = compileLogits(backend, model, live);
    expect(largest(await adapted.run(), base)).toBeGreaterThan(1);
    removeAdapter(model);
    const again = compileLogits(backend, model, live);
    expect(await again.run()).toEqual(base);
    for (const step of [own, adapted, again]) await step.dispose();
    model.dispose();
  });
});

test('several active adapters merge as they add up', async () => {
  const live = await openLiveCase('plain');
  const model = await live.openModel();
  for (const key of ['qv', 'all']) await loadAdapter(model, await live.openAdapter(key), { name: key });
  activateAdapter(model, ['qv', 'all']);
  const logits = compileLogits(backend, model, live);
  expectSame(await logits.run(), await live.answer('active.0'));
  await mergeAdapter(model);
  expectSame(await logits.run(), await live.answer('active.0.merged'));
  await unmergeAdapter(model);
  expectSame(await logits.run(), await live.answer('active.0'));
  await expect(mergeAdapter(model, ['qv'])).rejects.toThrow(/all active too/);
  // One that is not active (PEFT's `adapter_names`), in one pass.
  activateAdapter(model, []);
  const base = compileLogits(backend, model, live);
  expectSame(await base.run(), await live.answer('base'));
  await mergeAdapter(model, ['qv'], { safe: false });
  expectSame(await base.run(), await live.answer('merged.qv'));
  await unmergeAdapter(model);
  expectSame(await base.run(), await live.answer('base'));
  await base.dispose();
  await logits.dispose();
  model.dispose();
});

test(
  'a hot swap to another rank and alpha: PEFT’s logits, in a bank and beside a layer, and nothing is ' + 'compiled',
  async () => {
    const live = await openLiveCase('plain');
    const [large, small] = [await live.openAdapter('large'), await live.openAdapter('small')];
    const model = await live.openModel();
    const bank = openAdapterBank(model, { slots: 1, rank: 8 });
    await bank.load('it', large);
    bank.use('it');
    const logits = compileLogits(backend, model, live);
    const before = await logits.run();
    const plans = prepared;
    await bank.load('it', small);
    expectSame(await logits.run(), await live.answer('hotswap'));
    await bank.load('it', large);
    expect(await logits.run()).toEqual(before);
    expect(prepared).toBe(plans);
    await logits.dispose();
    bank.dispose();
    await loadAdapter(model, large);
    const beside = compileLogits(backend, model, live);
    expectSame(await beside.run(), before);
    await beside.dispose();
    model.dispose();
  },
);

test('a NaN in a merge is refused, and nothing has changed', async () => {
  const live = await openLiveCase('plain');
  const model = await live.openModel();
  await loadAdapter(model, await live.openAdapter('all'));
  const adapted = [...model.namedModules()].flatMap(([, module]) => (module instanceof LoraLayer ? [module] : []));
  const last = adapted.at(-1)?.adapters.get('default')?.a.tensor;
  if (last === undefined) throw new TypeError('no adapter');
  const values = Float32Array.from(await readTensor(last));
  values[3] = NaN;
  sourceOf(last).write(values);
  const weights = async (): Promise<number[][]> =>
    Promise.all(
      [...model.namedParameters()]
        .filter(([path]) => path.endsWith('base_layer.weight'))
        .map(async ([, { tensor }]) => Array.from(await readTensor(tensor))),
    );
  const before = await weights();
  await expect(mergeAdapter(model)).rejects.toThrow(/finite/);
  expect(await weights()).toEqual(before);
  // Without the look ahead the layers before it are merged and unmerged again: the same up to rounding.
  await expect(mergeAdapter(model, undefined, { safe: false })).rejects.toThrow(/finite/);
  for (const [at, layer] of (await weights()).entries())
    layer.forEach((value, i) => expect(Math.abs(value - (before[at]?.[i] ?? NaN))).toBeLessThan(1e-6));
  expect(adapted.every(({ merged }) => merged.length === 0)).toBe(true);
  model.dispose();
});
