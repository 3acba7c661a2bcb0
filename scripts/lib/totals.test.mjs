import { expect, test } from 'vitest';
import { slowestFiles, sumReports } from './totals.mjs';

const report = (projects, errors = 0) => ({ projects, errors });

test('totals are summed over runners and projects', () => {
  const sum = sumReports([
    report({ unit: { passed: 5, failed: 1, skipped: 0 }, webgpu: { passed: 2, failed: 0, skipped: 0 } }),
    report({ chromium: { passed: 3, failed: 0, skipped: 0 } }),
  ]);
  expect(sum).toEqual({ passed: 10, failed: 1, skipped: 0, reasons: [] });
});

test('a skipped unit test is reported, a skipped GPU test has failed', () => {
  const sum = sumReports([
    report({ unit: { passed: 1, failed: 0, skipped: 2 }, webgpu: { passed: 1, failed: 0, skipped: 3 } }),
  ]);
  expect(sum).toMatchObject({ passed: 2, failed: 3, skipped: 5 });
  expect(sum.reasons).toEqual(['3 test(s) of project webgpu could not run']);
});

test('a runner without a report, stray errors and an empty required project are failures', () => {
  const sum = sumReports([undefined, report({ unit: { passed: 1, failed: 0, skipped: 0 } }, 2)], ['unit', 'chromium']);
  expect(sum.failed).toBe(4);
  expect(sum.reasons).toEqual([
    'a test runner ended without a report',
    '2 error(s) outside of tests',
    'no test of project chromium ran',
  ]);
});

test('a required project whose tests were all skipped did not run', () => {
  expect(sumReports([report({ webgpu: { passed: 0, failed: 0, skipped: 2 } })], ['webgpu']).failed).toBe(3);
});

test('the slowest files of all runners, slowest first', () => {
  const files = (project, times) => ({
    ...report({}),
    files: Object.entries(times).map(([file, ms]) => ({ project, file, ms })),
  });
  const reports = [
    files('unit', { 'a.test.ts': 1200, 'b.test.ts': 3 }),
    undefined,
    files('webgpu', { 'c.test.ts': 61_000 }),
  ];
  expect(slowestFiles(reports, 2)).toEqual(['   61.0 s  webgpu    c.test.ts', '    1.2 s  unit      a.test.ts']);
});
