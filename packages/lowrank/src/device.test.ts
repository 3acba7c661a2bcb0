import { createCpuBackend } from '@lowrank/cpu';
import { expect, it } from 'vitest';
import { backendOnce, checkPrecision, chooseBackend } from './device.js';

const refusal = /^precision 'mixed': expected a WebGPU device with 16-bit floats \(shader-f16\), got cpu, /;

it('the CPU refuses mixed precision by name, and does without being asked', async () => {
  await expect(chooseBackend('cpu', { precision: 'mixed' })).rejects.toThrow(refusal);
  const { backend } = await chooseBackend('cpu', { precision: 'f32' });
  expect(() => checkPrecision(backend, undefined)).not.toThrow();
  await expect(backendOnce(backend, { precision: 'mixed' })()).rejects.toThrow(refusal);
  backend.dispose();
});

it('what opens a backend is told the precision that is wanted', async () => {
  const asked: unknown[] = [];
  const open = backendOnce(
    (needs) => {
      asked.push(needs.precision);
      return createCpuBackend();
    },
    { precision: 'f32' },
  );
  const backend = await open();
  expect(await open()).toBe(backend);
  expect(asked).toEqual(['f32']);
  backend.dispose();
});
