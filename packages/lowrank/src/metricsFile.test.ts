import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { forgiving, metricsOf, openMetricsFile } from './metricsFile.js';

let home = '';
beforeEach(() => (home = mkdtempSync(join(tmpdir(), 'lowrank-metrics-'))));
afterEach(() => rmSync(home, { recursive: true }));

const line = (step: number): ReturnType<typeof metricsOf> =>
  metricsOf({
    type: 'step',
    step,
    loss: 1.5,
    gradNorm: 0.25,
    learningRate: 0.001,
    tokens: 80,
    tokensPerSecond: 1234.5,
    measures: { margin: 0.5 },
  });

test('lines can be read while training, and the file gets its name at the end', async () => {
  const file = await openMetricsFile(home);
  await file.write(line(1));
  expect(readFileSync(join(home, 'metrics.partial.jsonl'), 'utf8')).toBe(
    '{"step":1,"loss":1.5,"margin":0.5,"grad_norm":0.25,"learning_rate":0.001,"tokens":80,"tokens_per_second":1234.5}\n',
  );
  await file.write(line(2));
  await file.finish();
  expect(readdirSync(home)).toEqual(['metrics.jsonl']);
  expect(
    readFileSync(join(home, 'metrics.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((text) => (JSON.parse(text) as { step: number }).step),
  ).toEqual([1, 2]);
  await file.discard();
  expect(readdirSync(home)).toEqual(['metrics.jsonl']);
});

test('a run that failed leaves none', async () => {
  const file = await openMetricsFile(home);
  await file.write(line(1));
  await file.discard();
  expect(readdirSync(home)).toEqual([]);
});

test('metrics that cannot be written cost a warning, not the run', async () => {
  const warnings: string[] = [];
  const failing = forgiving(
    {
      write: () => Promise.reject(new Error('ENOSPC: no space left on device')),
      finish: () => Promise.reject(new Error('never reached')),
      discard: () => Promise.resolve(),
    },
    (text) => void warnings.push(text),
  );
  await failing.write(line(1));
  await failing.write(line(1));
  await failing.finish();
  expect(warnings).toEqual([
    'metrics.jsonl cannot be written (ENOSPC: no space left on device); the run goes on without it',
  ]);
});
