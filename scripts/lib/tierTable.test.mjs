import { expect, test } from 'vitest';
import { rowsOf, tableOf } from './tierTable.mjs';

const passed = (fullName) => ({ fullName, status: 'passed' });
const run = (testResults, code = 0) =>
  rowsOf({ driver: 'd', tiers: ['portable', 'f16'], report: { testResults }, code });

test('tests are counted by the tier that they name, and runs of PyTorch apart', () => {
  const rows = run([
    {
      name: '/kernels/rope.webgpu.test.ts',
      status: 'passed',
      assertionResults: [passed('rope, portable kernels turns'), passed('rope, f16 kernels turns'), passed('wide')],
    },
    {
      name: '/tests/golden/tiers.webgpu.shared.test.ts',
      status: 'passed',
      assertionResults: [
        passed('stories260K, f16 kernels: 2 steps'),
        passed('stories260K in NF4, f16 kernels: 2 steps'),
      ],
    },
  ]);
  expect(rows.map(({ tier, kind, passed, failed }) => [tier, kind, passed, failed])).toEqual([
    ['portable', 'kernels', 1, 0],
    ['f16', 'kernels', 1, 0],
    ['any', 'kernels', 1, 0],
    ['f16', 'LoRA', 1, 0],
    ['f16', 'QLoRA', 1, 0],
  ]);
  expect(tableOf(rows)).toContain('| d | f16 | 1 passed | 1 passed | 1 passed |');
});

test('skipped tests, broken files, tiers without a test and bad endings are failures', () => {
  const rows = run([
    {
      name: '/kernels/rope.webgpu.test.ts',
      status: 'failed',
      assertionResults: [passed('rope, portable kernels turns')],
    },
    {
      name: '/kernels/cast.webgpu.test.ts',
      status: 'passed',
      assertionResults: [{ fullName: 'cast, portable kernels', status: 'skipped' }],
    },
  ]);
  expect(rows.map(({ tier, passed, failed }) => [tier, passed, failed])).toEqual([
    ['portable', 1, 1],
    ['any', 0, 1],
    ['f16', 0, 1],
  ]);
  expect(tableOf(rows)).toContain('| d | portable | 1 passed, 1 FAILED | – | – |');
  const ended = [
    {
      name: 'a',
      status: 'passed',
      assertionResults: [passed('portable kernels'), passed('f16 kernels')],
    },
  ];
  expect(run(ended, 1).at(-1)).toMatchObject({ tier: 'any', failed: 1 });
  const nothing = rowsOf({ driver: 'd', tiers: ['portable'], report: undefined, code: 1 });
  expect(nothing).toEqual([{ driver: 'd', tier: 'portable', kind: 'kernels', passed: 0, failed: 1 }]);
});

test('tests that a run was narrowed past are not counted, but something has to be left of each tier', () => {
  const testResults = [
    {
      name: '/kernels/rope.webgpu.test.ts',
      status: 'passed',
      assertionResults: [passed('portable kernels'), { fullName: 'f16 kernels', status: 'skipped' }],
    },
  ];
  const rows = rowsOf({ driver: 'd', tiers: ['portable', 'f16'], report: { testResults }, code: 0, narrowed: true });
  expect(rows.map(({ tier, passed, failed }) => [tier, passed, failed])).toEqual([
    ['portable', 1, 0],
    ['f16', 0, 1],
  ]);
});
