import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ProfileReport } from '@lowrank/study';
import { expect, test } from 'vitest';
import { golden, readJson, runCli, scratch } from '../testing.js';

const run = ['--model', join(golden, 'tied'), '--r', '2', '--max-length', '16', '--device', 'cpu', '--repeats', '2'];

test('every launch of a step is timed, and lies in the table, the page and the trace', async () => {
  using place = scratch();
  const output = join(place.path, 'profile');
  const outcome = await runCli(['profile', ...run, '--output', output, '--json']);
  expect(outcome.stderr).not.toContain('lowrank:');
  const report = outcome.json<ProfileReport>().at(-1);
  if (report === undefined) throw new Error('no report');
  const [plan] = (await runCli(['plan', ...run.slice(0, -2), '--json'])).json<{ kernels: number; flops: number }>();
  expect(report).toMatchObject({ method: 'lora', clock: 'host', launches: plan?.kernels, flops: plan?.flops });
  const sum = (of: (kernel: ProfileReport['kernels'][number]) => number): number =>
    report.kernels.reduce((total, kernel) => total + of(kernel), 0);
  expect(sum(({ launches }) => launches)).toBe(report.launches);
  expect(sum(({ share }) => share)).toBeCloseTo(1, 6);
  expect(sum(({ flops }) => flops)).toBeCloseTo(report.flops, -1);
  expect(sum(({ milliseconds }) => milliseconds)).toBeCloseTo(report.kernel_ms, 6);
  expect(report.kernels.some(({ kernel }) => kernel.startsWith('matmul'))).toBe(true);
  const inGroups = (of: (group: ProfileReport['groups'][number]) => number): number =>
    report.groups.reduce((total, group) => total + of(group), 0);
  expect(inGroups(({ launches }) => launches)).toBe(report.launches);
  expect(inGroups(({ milliseconds }) => milliseconds)).toBeCloseTo(report.kernel_ms, 6);
  expect(inGroups(({ expected_ms: expected }) => expected)).toBeCloseTo(report.expected_ms, 6);
  expect(report.groups.every(({ best_ms: best }) => best > 0)).toBe(true);
  const times = report.kernels.map(({ milliseconds }) => milliseconds);
  expect(times).toEqual([...times].sort((a, b) => b - a));
  expect(report.probes.flops_per_second).toBeGreaterThan(1e7);
  expect(report.probes.bytes_per_second).toBeGreaterThan(1e7);

  expect(readJson<ProfileReport>(join(output, 'profile.json'))).toEqual(report);
  const page = readFileSync(join(output, 'profile.html'), 'utf8');
  expect(page).toContain('<h2>The ten dearest kernels</h2>');
  expect(page).not.toContain('<script');
  const trace = readJson<{ traceEvents: { ph: string; ts: number; dur: number; name: string }[] }>(
    join(output, 'trace.json'),
  );
  const inModel = await runCli(['profile', ...run, '--output', join(golden, 'tied')]);
  expect(inModel.code).toBe(2);
  expect(inModel.stderr).toContain('--overwrite');
  const events = trace.traceEvents.filter(({ ph }) => ph === 'X');
  expect(events).toHaveLength(report.launches);
  expect(events.every(({ ts, dur }, at) => dur >= 0 && ts >= (events[at - 1]?.ts ?? 0))).toBe(true);
});

test('accumulation runs its batch as often as a step does, and the optimizer once', async () => {
  const outcome = await runCli(['profile', ...run, '--gradient-accumulation', '3', '--no-packing', '--json']);
  const [report] = outcome.json<ProfileReport>();
  const adamw = report?.kernels.filter(({ kernel }) => kernel.startsWith('adamw'));
  expect(adamw?.map(({ launches }) => launches)).toEqual([1]);
  expect(report?.kernels.filter(({ launches }) => launches % 3 === 0).length).toBeGreaterThan(5);
});

test('for people: the ten dearest kernels, and the rest in a line', async () => {
  const { stdout } = await runCli(['profile', ...run]);
  expect(stdout).toMatch(/a step takes .* launches, each timed alone \(by the host’s clock\)/);
  expect(stdout).toMatch(/^by kind: .*attention \d+\.\d%/m);
  expect(stdout.split('\n').filter((line) => /^\s+\d+\.\d%/.test(line))).toHaveLength(10);
  expect(stdout).toMatch(/and \d+ more kernels, \d+\.\d% of the time/);
});
