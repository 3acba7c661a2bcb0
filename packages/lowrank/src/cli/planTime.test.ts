import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { PlanReport } from '../jobs/planning/planReport.js';
import { timeTargets } from '../jobs/planning/time/timeTarget.js';
import { golden, runCli } from '../testing.js';

const run = ['plan', '--model', join(golden, 'tied'), '--r', '2', '--max-length', '16', '--batch-size', '2'];

async function planned(...flags: string[]): Promise<PlanReport & { time: NonNullable<PlanReport['time']> }> {
  const { code, stderr, json } = await runCli([...run, ...flags, '--json']);
  const [report] = json<PlanReport>();
  if (code !== 0 || report === undefined || report.time === null) throw new Error(stderr);
  return { ...report, time: report.time };
}

test.each(timeTargets.filter((name) => name !== 'this'))('the expected time on %s', async (name) => {
  const { time, device, batches } = await planned('--on', name, '--steps', '50');
  const { expected, least, most } = time.step_seconds;
  expect(device).toBeTruthy();
  expect(0 < least && least < expected && expected < most).toBe(true);
  expect(time.run_seconds.expected).toBeCloseTo(50 * expected, 9);
  const tokens = batches.reduce((sum, { batch, length }) => sum + batch * length, 0);
  expect(time.tokens_per_second).toBeCloseTo(tokens / expected, 6);
  expect(time.groups.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 9);
  expect(time.is_checked).toBe(false);
  expect(time.checked.every(({ runs, error }) => runs > 3 && error.median > 0 && error.median <= error.most)).toBe(
    true,
  );
});

test('a data sheet knows the memory too, and precision changes the time where there are matrix units', async () => {
  const shape = ['--on', 'h200', '--max-length', '512'];
  const config = ['plan', '--config', 'SmolLM2-135M', ...shape, '--json'];
  const [plain, mixed] = await Promise.all(
    [[], ['--precision', 'mixed']].map(async (flags) => (await runCli([...config, ...flags])).json<PlanReport>()[0]),
  );
  expect(plain).toMatchObject({ memory_bytes: 141e9, fits: true });
  expect(mixed?.time?.step_seconds.expected).toBeLessThan(plain?.time?.step_seconds.expected ?? 0);
});

test('the device at hand is measured, and its model was checked', async () => {
  const { time, device } = await planned('--on', 'this', '--device', 'cpu');
  expect(device).toMatch(/^cpu, /);
  expect(time.is_checked).toBe(true);
  expect(time.rates.flops_per_second.least).toBe(time.rates.flops_per_second.most);
  expect(time.steps).toBe(1000);
});

test('for people: the time, where it goes, and how far such a model was off', async () => {
  const { stdout } = await runCli([...run, '--on', 'rtx4060', '--steps', '200']);
  for (const line of [
    /^planned for NVIDIA GeForce RTX 4060$/m,
    /^a step {2,}\d+(\.\d+)? ms \(\d+(\.\d+)? ms to \d+(\.\d+)? ms\)$/m,
    /^200 steps {2,}/m,
    /^where it goes {2,}.*\d+%/m,
    /was off by \d+% \(median\).*on a GPU it was never checked/,
  ])
    expect(stdout).toMatch(line);
  expect((await runCli(run)).stdout).not.toContain('tokens per second');
});

test.each([
  [['--on', 'rtx5090'], /--on: expected rtx4060, m3, h200, iris-xe, adreno740, this, got rtx5090/],
  [['--on', 'm3', '--device', 'cpu'], /--device cpu with --on m3: expected one of the two/],
  [['--steps', '20'], /--steps without --on/],
  [['--precision', 'mixed', '--device', 'cpu'], /--precision mixed: expected a WebGPU device with 16-bit floats/],
  [['--precision', 'f16'], /--precision: expected f32, mixed, got f16/],
])('refused: %j', async (flags, message) => {
  const { code, stderr, stdout } = await runCli([...run, ...flags]);
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr).toMatch(message);
});
