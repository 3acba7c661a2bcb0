import type { LoraConfig } from '@lowrank/lora';
import { evaConfig, loraConfig } from '@lowrank/lora';
import { Embedding, isProjection, Linear, Module, projected } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { relu, reshape, Rng, tensor } from '@lowrank/tensor';
import { evaluateReference, ReferenceBackend, sourceOf } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { adaptedLayers } from './adaptedLayers.js';
import { addAdapter } from './addAdapter.js';
import type { InputBatch, MeasureOptions } from './inputMoments.js';
import { measureInputs } from './inputMoments.js';
import { seenInputs } from './seenInputs.js';

const width = 5;
const backend = new ReferenceBackend();
const rng = new Rng(8);
const random = (...shape: number[]): Tensor =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.normal()),
    shape,
  );

/** Two layers of one input, one after a relu, an embedding, and a layer that nothing calls. */
class Small extends Module {
  constructor() {
    super();
    this.child('table', new Embedding(random(9, width)));
    this.child('left', new Linear(random(3, width)));
    this.child('right', new Linear(random(4, width)));
    this.child('above', new Linear(random(2, 4)));
    this.child('idle', new Linear(random(2, 4)));
  }

  forward(ids: Tensor): Tensor {
    const x = this.layer('table').forward(ids);
    const [left, right] = [this.layer('left').forward(x), this.layer('right').forward(x)];
    return this.layer('above').forward(left.size > 0 ? relu(right) : right);
  }
}

const ids = Array.from({ length: 40 }, () => rng.integer(9));
const counts = ids.map((_, at) => (at % 4 === 0 ? 0 : 1));
const batch = (from: number, to: number, counted = counts): InputBatch => ({
  inputs: { ids: { data: Int32Array.from(ids.slice(from, to)), shape: [1, to - from] } },
  counted: Int32Array.from(counted.slice(from, to)),
});
const config = (given: Partial<LoraConfig> = {}): LoraConfig =>
  loraConfig({ targetModules: ['left', 'right', 'above'], r: 2, alpha: 4, init: 'eva', ...given });
const options = (model: Small, batches: readonly InputBatch[] = [batch(0, 16), batch(16, 40)]): MeasureOptions => ({
  backend,
  batches: () => batches,
  forward: ({ ids: given }) => given !== undefined && model.forward(given),
});
const linearOf = (model: Small, ...paths: string[]): Map<string, Linear> =>
  new Map(paths.map((path) => [path, model.getModule(path) as Linear]));

test('the scatter of a layer’s inputs over the tokens that count, once for layers of one input', async () => {
  const model = new Small();
  const measured = await measureInputs(model, linearOf(model, 'left', 'right', 'above'), options(model));
  expect(measured.map(({ paths, tokens }) => [paths.join(), tokens])).toEqual([
    ['left,right', 30],
    ['above', 30],
  ]);
  const table = (await evaluateReference([(model.getModule('table') as Embedding).weight.tensor]))[0] ?? [];
  const seen = ids.filter((_, at) => counts[at] === 1);
  const mean = Array.from(
    { length: width },
    (_, i) => seen.reduce((sum, id) => sum + (table[id * width + i] ?? NaN), 0) / seen.length,
  );
  measured[0]?.scatter.forEach((value, at) => {
    const [i, j] = [Math.floor(at / width), at % width];
    const want = seen.reduce(
      (sum, id) =>
        sum + ((table[id * width + i] ?? NaN) - (mean[i] ?? NaN)) * ((table[id * width + j] ?? NaN) - (mean[j] ?? NaN)),
      0,
    );
    expect(value).toBeCloseTo(want, 3);
  });
});

test('a mean a thousand times the spread costs no direction', async () => {
  const model = new Small();
  const table = sourceOf((model.getModule('table') as Embedding).weight.tensor);
  const plain = await measureInputs(model, linearOf(model, 'left'), options(model));
  table.write(new Float32Array(await table.read()).map((value) => Math.fround(value + 1000)));
  const [shifted] = await measureInputs(model, linearOf(model, 'left'), options(model));
  plain[0]?.scatter.forEach((value, at) => expect(Math.abs((shifted?.scatter[at] ?? NaN) - value)).toBeLessThan(0.02));
});

test('the budget goes where it explains most; a layer may get nothing, and is left as it was', async () => {
  const model = new Small();
  const before = await evaluateReference([model.forward(tensor(Int32Array.of(1, 4), [1, 2]))]);
  const { config: found, parameters } = await addAdapter(
    model,
    config({
      rankPattern: { above: 1 },
      alphaPattern: { left: 6 },
      r: 1,
      eva: { ...config().eva, rho: 4 } as LoraConfig['eva'],
    }),
    { data: options(model) },
  );
  const ranks = new Map(
    [...adaptedLayers(model)].map(([path, { adapters }]) => [path, adapters.get('default')?.a.tensor.shape[0] ?? 0]),
  );
  expect([...ranks.values()].reduce((a, b) => a + b, 0)).toBe(3);
  expect(found.targetModules).toEqual([...ranks.keys()]);
  for (const [path, rank] of ranks) {
    expect(found.rankPattern[path] ?? found.r).toBe(rank);
    // The factor on BA is what it was.
    expect(adaptedLayers(model).get(path)?.adapters.get('default')?.scale.value).toBeCloseTo(
      path === 'left' ? 6 : 4,
      12,
    );
  }
  expect(parameters).toHaveLength(2 * ranks.size);
  expect(await evaluateReference([model.forward(tensor(Int32Array.of(1, 4), [1, 2]))])).toEqual(before);
});

test('embeddings begin as ever, and the model is as it was after a forward pass that throws', async () => {
  const model = new Small();
  const { config: found } = await addAdapter(model, config({ targetModules: ['table', 'left'] }), {
    data: options(model),
  });
  expect(found.targetModules).toEqual(['left', 'table']);
  expect(() =>
    seenInputs(model, linearOf(model, 'above'), () => {
      throw new Error('no');
    }),
  ).toThrow('no');
  expect(model.getModule('above')).toBeInstanceOf(Linear);
});

test('what EVA cannot begin from is refused, and the model stays as it was', async () => {
  const model = new Small();
  const begin = (given: LoraConfig, batches?: readonly InputBatch[]): Promise<unknown> =>
    addAdapter(model, given, { data: options(model, batches) });
  await expect(begin(config(), [])).rejects.toThrow(/at least one batch/);
  await expect(
    begin(config(), [
      batch(
        0,
        8,
        counts.map(() => 0),
      ),
    ]),
  ).rejects.toThrow(/a token that counts/);
  await expect(begin(config(), [batch(0, 4)])).rejects.toThrow(
    /EVA at left: expected at least 4 tokens that count.*got 3/,
  );
  await expect(begin(config({ rankPattern: { above: 5 } }))).rejects.toThrow(
    /EVA at above: expected a rank up to 4.*got 5/,
  );
  await expect(begin(config({ targetModules: ['left', 'idle'] }))).rejects.toThrow(
    /the layer idle: expected to be reached/,
  );
  await expect(begin(config({ targetModules: ['table'] }))).rejects.toThrow(/only embeddings/);
  await expect(begin(config(), [{ ...batch(0, 8), counted: Int32Array.of(1) }])).rejects.toThrow(/each of 8 rows/);
  await expect(begin(config({ eva: { rho: 0.5 } }))).rejects.toThrow(/EVA setting rho: .*at least 1.*0.5/);
  await expect(begin(loraConfig({ targetModules: ['left'], eva: { rho: 1 } }))).rejects.toThrow(
    /eva.*init 'eva' with it/,
  );
  await expect(addAdapter(model, config())).rejects.toThrow(/options\.data/);
  expect(adaptedLayers(model).size).toBe(0);
  for (const path of ['left', 'right', 'above', 'idle']) expect(model.getModule(path)).toBeInstanceOf(Linear);
});

/** An output projection whose logits are made of its parts, as the models' are. */
class Headed extends Small {
  override readonly outputPath = 'lm_head';

  constructor() {
    super();
    this.child('lm_head', new Linear(random(3, 2)));
  }

  override forward(given: Tensor): Tensor {
    const x = super.forward(given);
    const [head, rows] = [this.getModule('lm_head'), reshape(x, [x.size / 2, 2])];
    if (!isProjection(head)) throw new TypeError('no projection');
    return projected(rows, head.parts(rows));
  }
}

test('an output projection is measured too; DoRA there is refused before the data are read', async () => {
  const model = new Headed();
  const { config: found } = await addAdapter(
    model,
    config({ targetModules: ['lm_head', 'right'], eva: evaConfig({ rho: 1 }) }),
    { data: options(model) },
  );
  expect(found.targetModules).toEqual(['right', 'lm_head']);
  expect(adaptedLayers(model).get('lm_head')?.adapters.get('default')?.a.tensor.shape).toEqual([2, 2]);
  const other = new Headed();
  const data: MeasureOptions = {
    ...options(other),
    batches: () => {
      throw new TypeError('read');
    },
  };
  await expect(
    addAdapter(other, config({ targetModules: ['lm_head'], useDora: true }), { data }),
  ).rejects.toMatchObject({
    code: 'patch.output',
  });
});

test('a failure after the data leaves the model as it was', async () => {
  const model = new Small();
  const modules = [...model.namedModules()].map(([path]) => path);
  await expect(
    addAdapter(model, config({ targetModules: ['left'], modulesToSave: ['nothing'] }), { data: options(model) }),
  ).rejects.toMatchObject({ code: 'patch.noTargets' });
  expect([...model.namedModules()].map(([path]) => path)).toEqual(modules);
});
