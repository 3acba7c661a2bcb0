import { add, matmul } from '@lowrank/tensor';
import { planFunction } from '@lowrank/tensor/backend';
import type { ProfiledRun } from '@lowrank/tensor/backend';
import { expect, test } from 'vitest';
import { createWebgpuBackend } from './backend.js';
import type { WebgpuBackend } from './backend.js';

/** The launches of (a·b)·b + a. */
async function profileOn(backend: WebgpuBackend): Promise<ProfiledRun> {
  const square = { shape: [32, 32], dtype: 'f32' } as const;
  const plan = planFunction(
    ({ a, b }) => {
      if (a === undefined || b === undefined) throw new TypeError('two arguments are given');
      return { y: add(matmul(matmul(a, b), b), a) };
    },
    { a: square, b: square },
    backend.spec,
  );
  const buffers = plan.buffers.map(({ bytes, kind }) => backend.allocate(Math.max(4, bytes), kind));
  const executable = await backend.prepare(plan, buffers);
  try {
    const size = (kind: string): number => plan.buffers.find((each) => each.kind === kind)?.bytes ?? 0;
    const request = { inputs: new Uint8Array(size('inputs')), scalars: new Uint8Array(size('scalars')) };
    const profiled = await executable.profile?.(request);
    expect(profiled?.launches.map(({ step }) => step)).toEqual(plan.steps.map((_, at) => at));
    expect(profiled?.launches[0]).toMatchObject({ bytes: 3 * 32 * 32 * 4 });
    if (profiled === undefined) throw new TypeError('this backend times its launches');
    return profiled;
  } finally {
    executable.dispose();
    for (const buffer of buffers) buffer.destroy();
  }
}

test('launches by the device’s timestamps, in order, one after another', async () => {
  const backend = await createWebgpuBackend({ tier: 'registers' });
  try {
    expect(backend.device.features.has('timestamp-query')).toBe(true);
    const { clock, launches } = await profileOn(backend);
    expect(clock).toBe('timestamps');
    const [first, second] = launches;
    expect(first?.kernel).toContain('matmul NN 32x32x32');
    expect(first?.milliseconds).toBeGreaterThan(0);
    expect(second?.start).toBeGreaterThanOrEqual(first?.milliseconds ?? NaN);
  } finally {
    backend.dispose();
  }
});

test('without timestamps by a submit for each', async () => {
  const backend = await createWebgpuBackend({ tier: 'registers', limits: 'default' });
  try {
    const submits = backend.device.counters.submits;
    const { clock, launches } = await profileOn(backend);
    expect(clock).toBe('submits');
    expect(backend.device.counters.submits - submits).toBe(launches.length);
    expect(launches.every(({ milliseconds }) => milliseconds > 0)).toBe(true);
  } finally {
    backend.dispose();
  }
});
