import { expect, test } from 'vitest';
import { checkOptions, checkValues } from './checkOptions.js';

test.each<[Parameters<typeof checkOptions>[0], string]>([
  [{ method: 'full', r: 4 }, "r with method 'full': expected one of the two, got both. Every weight is trained"],
  [{ method: 'prompt', rankPattern: { q_proj: 2 } }, "rankPattern with method 'prompt'"],
  [{ method: 'prompt', bottleneck: 2 }, "Leave bottleneck out, or use method 'adapter'."],
  [{ method: 'prompt', targetModules: ['a'] }, "use method 'lora, bitfit"],
  [{ method: 'prompt', virtualInit: 'zero' }, "virtualInit with method 'prompt': expected random or vocab, got zero"],
  [{ method: 'prompt', virtualInit: 'vocab', promptInitText: 'x' }, 'virtualInit with promptInitText'],
  [{ method: 'full', quantization: 'nf4' }, "quantization with method 'full'"],
  [{ method: 'subspace' }, "method 'subspace': expected dimension with it, got none. For example: dimension 1000"],
  [{ method: 'subspace', dimension: 9, projection: 'fastfood', entries: 2 }, "entries with projection 'fastfood'"],
  [{ initAdapter: 'x', useRslora: true }, 'useRslora with initAdapter'],
  [{ init: 'loftq' }, "init 'loftq': expected quantization 'nf4, fp4 or int8' with it, got no quantization"],
  [{ eva: { rho: 2 } }, "eva.rho: expected init 'eva' with it, got no init"],
  [
    { optimizer: 'sgd', beta1: 0.8 },
    "beta1 with optimizer 'sgd': expected one of the two, got both. sgd takes momentum, nesterov",
  ],
  [{ momentum: 0.8 }, "momentum with optimizer 'adamw'"],
  [{ doubleQuantization: true }, "doubleQuantization: expected quantization 'nf4 or fp4' with it"],
])('%j is refused', (options, words) => {
  expect(() => checkOptions(options)).toThrow(words);
});

test.each<[Parameters<typeof checkOptions>[0]]>([
  [{}],
  [{ r: 4, init: 'eva', eva: { batches: 3 }, trainableTokens: [5] }],
  [{ init: 'loftq', quantization: 'nf4', doubleQuantization: true }],
  [{ initAdapter: 'x', r: 4, loraPlusRatio: 4, dropout: 0.1, quantization: 'nf4' }],
  [{ method: 'full', useDora: false }],
  [{ optimizer: 'muon', beta1: 0.8, momentum: 0.9 }],
])('%j goes together', (options) => {
  checkOptions(options);
});

test.each<[object, string]>([
  [{ rank: 8 }, 'the option rank: expected r, got rank'],
  [{ lr: 1e-4 }, 'the option lr: expected learningRate, got lr'],
  [{ modle: './llama' }, 'the option modle: expected model, got modle'],
  [{ r: 0 }, 'the LoRA setting r: expected a whole number of at least 1, got 0'],
  [{ batchSize: '8' }, 'the setting batchSize: expected a whole number of at least 1, got 8'],
  [{ init: 'eva', eva: { rhoo: 2 } }, 'the EVA setting rhoo: expected rho, got rhoo'],
])('%j is refused, and the nearest named', (options, message) => {
  expect(() => checkValues(options, ['model', 'data'])).toThrow(message);
});
