import { profileOf } from '@lowrank/webgpu';
import { expect, test } from 'vitest';
import { planKernels } from './planKernels.js';

const gpu = { vendor: 'nvidia', architecture: 'ampere', device: '', description: '', software: false };
const subgroups = { ...gpu, features: ['subgroups'], subgroupMinSize: 32, subgroupMaxSize: 32 };
const step = { config: 'SmolLM2-135M', batchSize: 1, maxLength: 64, targetModules: 'all-linear' } as const;

test('the kernels of a training step, each once, with their launches and bytes', async () => {
  const kernels = await planKernels({ ...step, method: 'lora' });
  expect(new Set(kernels.map(({ code }) => code)).size).toBe(kernels.length);
  expect(kernels.every(({ code }) => code.includes('fn main('))).toBe(true);
  // A layer's products are the same kernels in every layer.
  expect(Math.max(...kernels.map(({ launches }) => launches))).toBeGreaterThanOrEqual(30);
  expect(kernels.map(({ bytes }) => bytes)).toEqual(kernels.map(({ bytes }) => bytes).toSorted((a, b) => b - a));
  expect(kernels.some(({ code }) => code.includes('enable subgroups'))).toBe(false);
});

test('the kernels of writing a text: its prompt is read by whole products, a token by vectors', async () => {
  const kernels = await planKernels({ ...step, method: 'lora', of: 'text' });
  const labels = kernels.map(({ label }) => label);
  expect(labels.some((label) => /^matmul NT 1x.* vector/.test(label))).toBe(true);
  expect(labels.some((label) => /^matmul NT 32x.* tile/.test(label))).toBe(true);
  expect(labels.some((label) => label.startsWith('adamw'))).toBe(false);
});

test('in mixed precision, products on the matrix units of a GPU', async () => {
  const matrix = 'chromium-experimental-subgroup-matrix';
  const modern = { ...subgroups, features: ['subgroups', 'shader-f16', matrix] };
  const matrices = [{ m: 16, n: 16, k: 16, operand: 'f16', sum: 'f32' }];
  const profile = profileOf({ ...modern, subgroupMatrices: matrices }, { precision: 'mixed' });
  const kernels = await planKernels({ ...step, method: 'qlora', profile });
  const products = kernels.filter(({ label }) => label.startsWith('matmul') && !label.includes('sum of'));
  expect(products.length).toBeGreaterThan(5);
  expect(products.every(({ code }) => code.includes('subgroupMatrixMultiplyAccumulate'))).toBe(true);
});

test('apart: each product over codes has one over 16 bits beside it, in a launch of its own', async () => {
  for (const of of ['step', 'text'] as const) {
    const options = { ...step, of, apart: true, profile: profileOf(subgroups) };
    const [dense, codes] = await Promise.all(
      (['lora', 'qlora'] as const).map((method) => planKernels({ ...options, method })),
    );
    const labels = new Set(dense?.map(({ label }) => label));
    const overCodes = codes?.filter(({ label }) => label.includes(' block4 ')) ?? [];
    expect(overCodes.length).toBeGreaterThan(3);
    for (const { label } of overCodes) expect(labels).toContain(label.replace(' block4 ', ' bf16 '));
    for (const { code } of dense ?? []) expect(code).not.toContain('fn member1(');
  }
});

test('kernels by the profile of a GPU, over codes with a quantized base', async () => {
  const kernels = await planKernels({ ...step, method: 'qlora', profile: profileOf(subgroups) });
  const of = (part: string): string[] => kernels.flatMap(({ label, code }) => (label.includes(part) ? [code] : []));
  expect(of('rmsNorm').every((code) => code.startsWith('enable subgroups;'))).toBe(true);
  expect(of('block4').length).toBeGreaterThan(0);
});
