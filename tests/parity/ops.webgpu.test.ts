import { createWebgpuBackend } from '@lowrank/webgpu';
import type { Backend } from '@lowrank/tensor';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { caseNames, runAdamw, runCase } from './opCases.js';

let backend: Backend;
beforeAll(async () => {
  backend = await createWebgpuBackend({ allowSoftware: true, limits: 'default' });
});
afterAll(() => backend.dispose());

describe('ops and their gradients on WebGPU, with default limits, against PyTorch', () => {
  for (const name of caseNames) test(name, () => runCase(backend, name));
  test('adamW', () => runAdamw(backend));
});
