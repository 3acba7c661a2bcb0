import { loraConfig } from '@lowrank/lora';
import { Embedding, Linear, Module } from '@lowrank/nn';
import { Rng, tensor } from '@lowrank/tensor';
import { evaluateReference, sourceOf } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { adaptedLayers } from './adaptedLayers.js';
import { addAdapter } from './addAdapter.js';
import type { LoftqBase } from './beginning.js';

const rng = new Rng(3);
const random = (length: number): Float32Array => Float32Array.from({ length }, () => rng.normal());
const thirds = (weight: Float32Array): Float32Array => weight.map((value) => Math.round(3 * value) / 3);

/** Two layers that hold thirds of the weights given, and an embedding. */
class Small extends Module {
  readonly weights = new Map<string, Float32Array>();

  constructor() {
    super();
    for (const [name, rows, columns] of [
      ['wide', 5, 9],
      ['tall', 12, 5],
    ] as const) {
      const weight = random(rows * columns);
      this.weights.set(name, weight);
      this.child(name, new Linear(tensor(thirds(weight), [rows, columns])));
    }
    this.child('table', new Embedding(tensor(random(12), [4, 3])));
  }

  /** What is kept goes into the layer. */
  base(kept: string[] = []) {
    return (path: string): Promise<LoftqBase> => {
      const weight = this.weights.get(path) ?? new Float32Array();
      let last = weight;
      return Promise.resolve({
        weight,
        roundTrip: (values) => (last = thirds(values)),
        keep: () => {
          kept.push(path);
          const layer = adaptedLayers(this).get(path)?.base ?? this.children().get(path);
          if (layer instanceof Linear) sourceOf(layer.weight.tensor).write(last);
        },
      });
    };
  }

  /** ‖W − (Q + s·B·A)‖ of a layer, by what it answers to the unit vectors. */
  async loss(path: string): Promise<number> {
    const layer = adaptedLayers(this).get(path);
    if (layer === undefined) throw new Error(path);
    const { inFeatures: width, outFeatures: rows } = layer;
    const unit = Float32Array.from({ length: width * width }, (_, i) => (i % (width + 1) === 0 ? 1 : 0));
    const [answers] = await evaluateReference([layer.forward(tensor(unit, [width, width]))]);
    const weight = this.weights.get(path) ?? [];
    let sum = 0;
    answers?.forEach((value, i) => (sum += (value - (weight[(i % rows) * width + Math.floor(i / rows)] ?? NaN)) ** 2));
    return Math.sqrt(sum);
  }
}

const config = loraConfig({
  targetModules: ['wide', 'tall'],
  r: 3,
  alpha: 12,
  init: 'loftq',
  rankPattern: { tall: 2 },
});

test(
  'every layer begins nearer to its weight than its quantization is, and more alternations bring ' + 'it nearer',
  async () => {
    const model = new Small();
    await addAdapter(model, { ...config, init: 'kaiming' }, { name: 'plain' });
    const plain = await model.loss('wide');
    const kept: string[] = [];
    const { parameters: trained } = await addAdapter(model, config, { name: 'one', loftq: { base: model.base(kept) } });
    expect(trained.map(({ name, parameter }) => [name, parameter.tensor.shape.join()])).toEqual([
      ['wide.lora_A', '3,9'],
      ['wide.lora_B', '5,3'],
      ['tall.lora_A', '2,5'],
      ['tall.lora_B', '12,2'],
    ]);
    expect(kept).toEqual([]);
    const one = await model.loss('wide');
    expect(one).toBeLessThan(0.8 * plain);
    await addAdapter(model, config, { name: 'eight', loftq: { iterations: 8, base: model.base(kept) } });
    expect(kept).toEqual(['wide', 'tall']);
    expect(await model.loss('wide')).toBeLessThanOrEqual(one);
  },
);

test('what LoftQ cannot do is refused', async () => {
  const model = new Small();
  await expect(addAdapter(model, config)).rejects.toThrow(/options\.loftq/);
  await expect(
    addAdapter(model, { ...config, targetModules: ['table'] }, { loftq: { base: model.base() } }),
  ).rejects.toThrow(/LoftQ at table: expected a quantized linear layer, got an embedding/);
  await expect(addAdapter(model, config, { loftq: { iterations: 0, base: model.base() } })).rejects.toThrow(
    /iterations/,
  );
  await addAdapter(model, config, { loftq: { base: model.base() } });
  await expect(addAdapter(model, config, { loftq: { base: model.base() } })).rejects.toThrow(/taken/);
});
