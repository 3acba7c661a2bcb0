import { ReferenceBackend } from '@lowrank/tensor';
import { describe, test } from 'vitest';
import { caseNames, referenceCase, runAdamw, runCase } from './opCases.js';

describe('ops and their gradients by the references against PyTorch', () => {
  for (const name of caseNames) test(name, () => referenceCase(name));
  test('adamW', () => runAdamw(new ReferenceBackend()));
});

describe('ops and their gradients, planned, against PyTorch', () => {
  for (const name of caseNames) test(name, () => runCase(new ReferenceBackend(), name));
});
