import { createWebgpuBackend } from '@lowrank/webgpu';
import { packBatch, padBatch } from '@lowrank/data';
import type { Backend } from '@lowrank/tensor';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { expectTrainGolden } from './trainCases.js';

describe.each(['lora', 'full'] as const)(
  '%s training on WebGPU with default limits against transformers and PEFT',
  (method) => {
    let backend: Backend;
    beforeAll(async () => {
      backend = await createWebgpuBackend({ allowSoftware: true, limits: 'default' });
    });
    afterAll(() => backend.dispose());

    test('packed rows', () => expectTrainGolden({ backend, method }));
    test('padded rows', () => expectTrainGolden({ backend, method, layout: (rows) => [padBatch(rows)] }));
    test('an accumulation window of unequal batches', () =>
      expectTrainGolden({
        backend,
        method,
        layout: (rows) => [packBatch(rows.slice(0, 1)), packBatch(rows.slice(1))],
      }));
    test.each(['unfused', 'unplanned'] as const)('%s', (execution) =>
      expectTrainGolden({ backend, method, step: { execution } }),
    );
  },
);
