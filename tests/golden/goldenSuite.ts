import type { Backend } from '@lowrank/tensor';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GoldenName } from './goldenRun.js';
import { expectGradientNorms, expectTrajectory, goldenEvaluation, near, openGolden } from './goldenRun.js';

/** A software adapter needs minutes for what the CPU backend does in seconds. */
const slow = { timeout: 1_200_000 };

export interface GoldenSuite {
  readonly device: string;
  readonly openBackend: () => Promise<Backend>;
  readonly models: readonly GoldenName[];
  /** How many of the 30 steps are compared. */
  readonly steps: number;
  /** How many of them without fusion, and without a plan. */
  readonly plainSteps: number;
}

/** The reference runs of real models on one kind of device. */
export function goldenSuite({ device, openBackend, models, steps, plainSteps }: GoldenSuite): void {
  let backend: Backend;
  beforeAll(async () => {
    backend = await openBackend();
  });
  afterAll(() => backend.dispose());

  describe.each(models)(`%s on ${device} against PyTorch`, (name) => {
    test('the base model’s loss on rows 300 to 399', async () => {
      const golden = await openGolden(name);
      const { loss, tokens } = await goldenEvaluation(golden, backend);
      near(loss, golden.golden.base_eval_loss);
      expect(tokens).toBe(golden.golden.eval_tokens);
      golden.model.dispose();
    });

    test.each(['init', 'final'] as const)('gradient norms of every matrix at the %s adapter', async (which) => {
      const golden = await openGolden(name);
      await expectGradientNorms(golden, backend, { which });
      golden.model.dispose();
    });

    test(`${steps} steps: every loss and gradient norm`, slow, async () => {
      const golden = await openGolden(name);
      await expectTrajectory(golden, backend, { steps });
      golden.model.dispose();
    });
  });

  test.each(['unfused', 'unplanned'] as const)(
    `stories260K on ${device}, %s: ${plainSteps} steps and gradient norms`,
    slow,
    async (execution) => {
      const golden = await openGolden('stories260K');
      await expectTrajectory(golden, backend, { execution, steps: plainSteps });
      for (const which of ['init', 'final'] as const) await expectGradientNorms(golden, backend, { which, execution });
      golden.model.dispose();
    },
  );
}
