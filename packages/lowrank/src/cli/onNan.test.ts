import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { FineTuneResult } from '../jobs/fineTune.js';
import type { SkippedMetrics } from '../metricsFile.js';
import { golden, readJson, readLines, runCli, scratch } from '../testing.js';

const model = join(golden, 'tied');
const data = join(golden, 'train/rows.jsonl');

/** A rate that explodes: the first step makes weights with which every gradient is NaN. */
const cpu = ['--device', 'cpu', '--json'];
const explodes = ['train', '--model', model, '--data', data, ...cpu, '--method', 'full', '--learning-rate', '1e30'];

test('--on-nan skip: skipped batches are warned of, noted and counted; ten in a row end the run', async () => {
  using place = scratch();
  const output = join(place.path, 'short');
  const argv = [...explodes, '--on-nan', 'skip', '--output', output];
  const short = await runCli([...argv, '--steps', '4']);
  expect(short.code).toBe(0);
  expect(short.stderr).toMatch(
    /^warning: step 2: loss [\d.]+, gradient norm NaN: its batch is skipped, and changes nothing$/m,
  );
  expect(short.stderr).toContain(', 3 in a row (10 end the run)');
  expect(short.json<FineTuneResult>().at(-1)).toMatchObject({ steps: 4, skipped_steps: 3 });
  const lines = readLines<SkippedMetrics>(join(output, 'metrics.jsonl'));
  expect(lines.map((line) => [line.step, 'skipped' in line])).toEqual([
    [1, false],
    [2, true],
    [3, true],
    [4, true],
  ]);
  expect(lines[1]).toEqual({ step: 2, loss: expect.any(Number) as number, grad_norm: null, skipped: true });
  expect(readJson(join(output, 'run.json'))).toMatchObject({ given: { onNan: 'skip' }, step: 4 });

  const long = await runCli([...explodes, '--on-nan', 'skip', '--output', join(place.path, 'long'), '--steps', '40']);
  expect(long.code).toBe(2);
  expect(long.stderr).toMatch(/step 11: expected a finite loss and gradient.*the 9 steps before were skipped/);
  expect(readdirSync(place.path)).toEqual(['short']);
});
