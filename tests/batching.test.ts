import { createCpuBackend } from '@lowrank/cpu';
import type { Backend } from '@lowrank/tensor';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectIsolation, layouts, trajectoryOf } from './batchingCases.js';

let backend: Backend;
beforeAll(async () => void (backend = await createCpuBackend()));
afterAll(() => backend.dispose());

test('20 steps go one way in every layout: packed and padded, 8×1 and 4×2', async () => {
  const whole = await trajectoryOf(backend, { batchSize: 8 }, 20);
  expect(whole[19]?.[0]).toBeLessThan(0.9 * (whole[0]?.[0] ?? NaN));
  for (const [name, layout] of layouts) {
    const trajectory = await trajectoryOf(backend, layout, 20);
    const off = trajectory.map(([loss, norm], at) =>
      Math.max(Math.abs(loss / (whole[at]?.[0] ?? NaN) - 1), Math.abs(norm / (whole[at]?.[1] ?? NaN) - 1)),
    );
    expect({ name, steps: off.length, off: Math.max(...off) < 1e-5 || off }).toEqual({ name, steps: 20, off: true });
  }
});

test('a document of a packed sequence moves no other', () => expectIsolation(backend));
