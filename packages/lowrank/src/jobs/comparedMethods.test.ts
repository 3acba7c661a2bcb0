import { expect, it } from 'vitest';
import { checkOptions, trainingOf } from './comparedMethods.js';
import type { FineTuneTraining } from './fineTuneTraining.js';

const training: FineTuneTraining = {
  model: 'm',
  data: 'd',
  r: 4,
  modulesToSave: ['lm_head'],
  evaBatches: 3,
  trainableTokens: [5],
  virtualTokens: 2,
  virtualInit: 'zero',
  bottleneck: 6,
};

it('gives each method what is meant for it, and nothing else', () => {
  const { model, data } = training;
  expect(trainingOf('full', training)).toEqual({ model, data, method: 'full' });
  expect(trainingOf('prefix', training)).toEqual({
    model,
    data,
    method: 'prefix',
    virtualTokens: 2,
    virtualInit: 'zero',
  });
  expect(trainingOf('prompt', training)).toEqual({ model, data, method: 'prompt', virtualTokens: 2 });
  expect(trainingOf('adapter', training)).toEqual({ model, data, method: 'adapter', bottleneck: 6 });
  expect(trainingOf('lora', training)).toEqual({
    model,
    data,
    method: 'lora',
    r: 4,
    modulesToSave: ['lm_head'],
    evaBatches: 3,
    trainableTokens: [5],
  });
  expect(trainingOf('qlora', training)).toEqual({
    ...trainingOf('lora', training),
    quantization: 'nf4',
    doubleQuantization: true,
  });
  // Without codes there is nothing for LoftQ to make up for.
  expect(trainingOf('lora', { ...training, initLoraWeights: 'loftq' })).toEqual(trainingOf('lora', training));
  expect(trainingOf('qlora', { ...training, initLoraWeights: 'loftq' }).initLoraWeights).toBe('loftq');
});

it.each<[Partial<FineTuneTraining>, RegExp]>([
  [{ r: 4 }, /--r in a comparison of full, prompt: expected lora or qlora among the methods/],
  [{ modulesToSave: ['lm_head'] }, /--modules-to-save/],
  [{ virtualInit: 'zero' }, /--virtual-init zero.*expected prefix/],
  [{ initLoraWeights: 'loftq' }, /loftq.*expected qlora/],
  [{ doubleQuantization: true }, /--double-quantization.*expected qlora/],
])('%j is of no method that is compared', (options, words) => {
  const shared = { model: 'm', data: 'd', steps: 3, checkpointing: true, virtualTokens: 2 };
  checkOptions(['full', 'prompt'], shared);
  expect(() => checkOptions(['full', 'prompt'], { ...shared, ...options })).toThrow(words);
});
