import { createCpuBackend } from '@lowrank/cpu';
import type { Backend } from '@lowrank/tensor';
import { ReferenceBackend } from '@lowrank/tensor/op';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { caseNames, referenceCase, runAdamw, runCase } from './opCases.js';

describe('ops and their gradients by the references against PyTorch', () => {
  for (const name of caseNames) test(name, () => referenceCase(name));
  test('adamW', () => runAdamw(new ReferenceBackend()));
});

describe('ops and their gradients, planned, against PyTorch', () => {
  for (const name of caseNames) test(name, () => runCase(new ReferenceBackend(), name));
});

describe('ops and their gradients on the CPU backend against PyTorch', () => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await createCpuBackend();
  });
  afterAll(() => backend.dispose());
  for (const name of caseNames) test(name, () => runCase(backend, name));
  test('adamW', () => runAdamw(backend));
});
