import { createCpuBackend } from '@lowrank/cpu';
import { test } from 'vitest';
import { expectMinilmTrajectory } from './minilmCases.js';

test.each(['golden', 'golden-clip'] as const)(
  '%s: MiniLM on sentiment, as PEFT trains it, on the CPU',
  async (name) => {
    const backend = await createCpuBackend();
    try {
      await expectMinilmTrajectory(backend, name);
    } finally {
      backend.dispose();
    }
  },
);
