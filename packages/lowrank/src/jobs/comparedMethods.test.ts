import { expect, it } from 'vitest';
import { checkComparison, trainingOf } from './comparedMethods.js';
import type { FineTuneTraining } from './fineTuneTraining.js';

const training: FineTuneTraining = {
  model: 'm',
  data: 'd',
  r: 4,
  modulesToSave: ['lm_head'],
  init: 'eva',
  eva: { batches: 3 },
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
    init: 'eva',
    eva: { batches: 3 },
    trainableTokens: [5],
  });
  expect(trainingOf('qlora', training)).toEqual({
    ...trainingOf('lora', training),
    quantization: 'nf4',
    doubleQuantization: true,
  });
  // Without codes there is nothing for LoftQ to make up for.
  expect(trainingOf('lora', { ...training, init: 'loftq' })).toEqual(
    trainingOf('lora', { ...training, init: undefined }),
  );
  expect(trainingOf('qlora', { ...training, init: 'loftq' }).init).toBe('loftq');
});

it.each<[Partial<FineTuneTraining>, RegExp]>([
  [{ r: 4 }, /^r in a comparison of full, prompt: expected lora or qlora among the methods/],
  [{ eva: { batches: 3 } }, /eva.batches in.*expected lora or qlora/],
  [{ modulesToSave: ['lm_head'] }, /modulesToSave/],
  [{ virtualInit: 'zero' }, /virtualInit 'zero'.*expected prefix/],
  [{ init: 'loftq' }, /loftq.*expected qlora/],
  [{ doubleQuantization: true }, /doubleQuantization in.*expected qlora/],
])('%j is of no method that is compared', (options, words) => {
  const shared = { model: 'm', data: 'd', steps: 3, checkpointing: true, virtualTokens: 2 };
  checkComparison(['full', 'prompt'], shared);
  expect(() => checkComparison(['full', 'prompt'], { ...shared, ...options })).toThrow(words);
});
