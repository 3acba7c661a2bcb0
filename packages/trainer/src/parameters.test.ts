import type { TrainedParameter } from '@lowrank/nn';
import { Parameter } from '@lowrank/nn';
import { persistent, readTensor, tensor } from '@lowrank/tensor';
import { expect, test } from 'vitest';
import { disposeVectors, flattenParameters } from './parameters.js';

const spec = { maxBindingBytes: 2 ** 27 };
const parameter = (name: string, values: number[], shape: number[]): TrainedParameter => ({
  name,
  parameter: new Parameter(tensor(Float32Array.from(values), shape, { name })),
});
const range = (count: number, from = 0): number[] => Array.from({ length: count }, (_, i) => from + i);

test('values keep their place behind aligned segments, and the parameters become views', async () => {
  const a = parameter('a', range(3), [3]);
  const b = parameter('b', range(70, 100), [7, 10]);
  const c = parameter('c', [5], [1, 1]);
  const [vector, ...others] = await flattenParameters([a, b, c], spec);
  expect(others).toEqual([]);
  expect(vector?.size).toBe(64 + 128 + 64);
  expect(vector?.segments).toMatchObject([
    { name: 'a', offset: 0, shape: [3] },
    { name: 'b', offset: 64, shape: [7, 10] },
    { name: 'c', offset: 192, shape: [1, 1] },
  ]);
  expect([...(await readTensor(b.parameter.tensor))]).toEqual(range(70, 100));
  expect([...(await readTensor(c.parameter.tensor))]).toEqual([5]);
  expect(b.parameter.tensor.shape).toEqual([7, 10]);
});

test('the table holds rate factor and decay of each block of 64', async () => {
  const a = { ...parameter('a', range(65), [65]), learningRateFactor: 16 };
  const b = { ...parameter('b', range(2), [2]), weightDecay: 0 };
  const [vector] = await flattenParameters([a, b], spec, { weightDecay: 0.5 });
  const table = vector === undefined ? [] : [...(await readTensor(vector.table))];
  expect(table).toEqual([16, 0.5, 16, 0.5, 1, 0]);
});

test('norms and biases are not decayed, under the names of Hugging Face’s Trainer', async () => {
  const names = [
    'model.norm.weight',
    'h.0.ln_1.weight',
    'x.post_attention_layernorm.weight',
    'q_norm.weight',
    'q.bias',
  ];
  const decayed = ['normal.weight', 'q.lora_A'];
  const all = [...names, ...decayed].map((name) => parameter(name, range(2), [2]));
  const [vector] = await flattenParameters(all, spec, { weightDecay: 0.5 });
  const table = vector === undefined ? [] : [...(await readTensor(vector.table))];
  expect(table.filter((_, at) => at % 2 === 1)).toEqual([...names.map(() => 0), ...decayed.map(() => 0.5)]);
});

test('a vector ends where the next parameter would not fit one binding; a larger parameter stands alone', async () => {
  const parameters = [
    parameter('a', range(60), [60]),
    parameter('b', range(64), [64]),
    parameter('c', range(200), [20, 10]),
    parameter('d', [1], [1]),
  ];
  const vectors = await flattenParameters(parameters, { maxBindingBytes: 2 * 64 * 4 });
  expect(vectors.map(({ segments }) => segments.map(({ name }) => name))).toEqual([['a', 'b'], ['c'], ['d']]);
  expect(vectors.map(({ shape }) => shape)).toEqual([[128], [20, 10], [64]]);
});

test('half-precision parameters become f32 masters', async () => {
  const half = {
    name: 'half',
    parameter: new Parameter(tensor(Uint16Array.of(0x3f80, 0xc000, 0x3e80), [3], { dtype: 'bf16' })),
  };
  await flattenParameters([half], spec);
  expect(half.parameter.tensor.dtype).toBe('f32');
  expect([...(await readTensor(half.parameter.tensor))]).toEqual([1, -2, 0.25]);
});

test('a parameter under two names lies there once, and one that was trained before is moved again', async () => {
  const a = parameter('a', range(5, 7), [5]);
  const [first] = await flattenParameters([a, { ...a, name: 'tied' }, parameter('z', [9], [1])], spec);
  expect(first?.segments.map(({ name }) => name)).toEqual(['a', 'z']);
  const [second] = await flattenParameters([parameter('new', [3], [1]), a], spec);
  expect(second?.segments.map(({ offset }) => offset)).toEqual([0, 64]);
  expect([...(await readTensor(a.parameter.tensor))]).toEqual(range(5, 7));
});

test('an error names what cannot be trained', async () => {
  await expect(flattenParameters([], spec)).rejects.toMatchObject({ code: 'trainer.nothingToTrain' });
  const codes = { name: 'codes', parameter: new Parameter(persistent([4], { dtype: 'u8' })) };
  await expect(flattenParameters([codes], spec)).rejects.toThrow('parameter codes: expected f32, f16 or bf16, got u8');
});

test('the vector lives as long as one of its parameters', async () => {
  const [a, b] = [parameter('a', range(5), [5]), parameter('b', [1], [1])];
  const [vector] = await flattenParameters([a, b], spec);
  a.parameter.dispose();
  expect([...(await readTensor(b.parameter.tensor))]).toEqual([1]);
  b.parameter.dispose();
  await expect(readTensor(vector?.parameters ?? b.parameter.tensor)).rejects.toMatchObject({ code: 'tensor.disposed' });
  // A parameter that is trained again leaves its old vector.
  const c = parameter('c', range(2), [2]);
  const [old] = await flattenParameters([c], spec);
  await flattenParameters([c], spec);
  await expect(readTensor(old?.parameters ?? c.parameter.tensor)).rejects.toMatchObject({ code: 'tensor.disposed' });
  expect([...(await readTensor(c.parameter.tensor))]).toEqual(range(2));
});

test('state and weights are freed apart', async () => {
  const a = parameter('a', range(5), [5]);
  const vectors = await flattenParameters([a], spec);
  disposeVectors(vectors, { weights: false });
  expect((await readTensor(a.parameter.tensor)).length).toBe(5);
  disposeVectors(vectors, { weights: true });
  await expect(readTensor(a.parameter.tensor)).rejects.toMatchObject({ code: 'tensor.disposed' });
});
