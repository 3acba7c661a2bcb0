import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { evaluationMetrics, forgivingMetrics, metricsOf, openMetricsFile } from './metricsFile.js';

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
    memoryBytes: 4096,
    measures: { margin: 0.5 },
  });

const evaluation = (step: number): ReturnType<typeof evaluationMetrics> =>
  evaluationMetrics({
    type: 'evaluated',
    step,
    loss: 2.5,
    tokens: 7,
    isBest: true,
    isLast: false,
    measures: { margin: 0.25 },
  });

const path = (): string => join(home, 'metrics.jsonl');
const stored = (): string => readFileSync(path(), 'utf8');

test('lines can be read while training: one for each step, and evaluations between them', async () => {
  const file = await openMetricsFile(home);
  await file.write(line(1));
  expect(stored()).toBe(
    '{"step":1,"loss":1.5,"margin":0.5,"grad_norm":0.25,"learning_rate":0.001,"tokens":80,' +
      '"tokens_per_second":1234.5,"memory_bytes":4096}\n',
  );
  await file.write(evaluation(1));
  expect(stored().split('\n')[1]).toBe('{"step":1,"eval_loss":2.5,"eval_margin":0.25}');
  await file.close();
  await file.close();
});

test('a run that goes on cuts it back to its checkpoint, half a line and later evaluations too', async () => {
  const file = await openMetricsFile(home);
  for (const metrics of [line(1), line(2), evaluation(2), line(3), line(4), evaluation(4), line(5)])
    await file.write(metrics);
  await file.close();
  writeFileSync(path(), `${stored()}{"step":6,"lo`);
  const rest = await openMetricsFile(home, { step: 4, evaluatedAt: 2 });
  await rest.write(evaluation(4));
  await rest.close();
  const kept = stored()
    .trimEnd()
    .split('\n')
    .map((text) => JSON.parse(text) as { step: number; eval_loss?: number });
  expect(kept.map(({ step, eval_loss: loss }) => `${step}${loss === undefined ? '' : ' eval'}`)).toEqual([
    '1',
    '2',
    '2 eval',
    '3',
    '4',
    '4 eval',
  ]);
  expect(readdirSync(home)).toEqual(['metrics.jsonl']);
});

test('metrics that cannot be written cost a warning, not the run', async () => {
  const warnings: string[] = [];
  const full = (): Promise<never> => Promise.reject(new Error('ENOSPC: no space left on device'));
  const warn = (text: string): void => void warnings.push(text);
  const failing = await forgivingMetrics(() => Promise.resolve({ write: full, close: full }), warn);
  await failing.write(line(1));
  await failing.write(line(1));
  await failing.close();
  const words = 'metrics.jsonl cannot be written (ENOSPC: no space left on device); the run goes on without it';
  expect(warnings).toEqual([words]);
  await (await forgivingMetrics(full, warn)).write(line(1));
  expect(warnings).toEqual([words, words]);
});
