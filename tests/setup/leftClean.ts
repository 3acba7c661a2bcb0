import { deepStrictEqual } from 'node:assert/strict';
import { afterAll } from 'vitest';

/** What the files of one process could spoil for each other, but for libraries' own globals (zod's, WebGPU's). */
const state = (): object => ({
  folder: process.cwd(),
  environment: { ...process.env },
  globals: Object.getOwnPropertyNames(globalThis)
    .filter((name) => !/^(__|GPU|WGSL)/.test(name))
    .sort(),
  exitCode: process.exitCode,
});

const before = state();

/** @throws AssertionError when a file leaves the process other than it found it. */
afterAll(() => deepStrictEqual(state(), before));
