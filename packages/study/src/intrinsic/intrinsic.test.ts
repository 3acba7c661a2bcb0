import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Executor } from '../runs/executor.js';
import type { StudyTraining } from '../runs/studyRun.js';
import type { StudyEvent } from '../studyOptions.js';
import { fakeTrainer, scratch, studyOf } from '../testing.js';
import { intrinsicDimension } from './intrinsic.js';
import type { IntrinsicOptions } from './intrinsicOptions.js';
import { describeIntrinsic } from './intrinsicReport.js';
import type { IntrinsicTable } from './intrinsicTable.js';

/** Falls from 4, the base model, with the size of the subspace; full fine-tuning comes to 2. */
function lossOf({ method, dimension, learningRate = 0 }: StudyTraining): number {
  if (learningRate > 1) throw new Error('astray');
  if (method === 'full') return learningRate < 1e-5 ? 3.9 : 2;
  if (learningRate === 0) return 4;
  if (dimension === 2) throw new Error('the dimension of a subspace is too small');
  return (learningRate < 1e-4 ? 4 : 3.9) - 0.45 * Math.log10(Number(dimension));
}

const optionsIn = (output: string, options: Partial<IntrinsicOptions> = {}): IntrinsicOptions => ({
  ...studyOf(
    output,
    fakeTrainer(lossOf, ({ method, dimension }) => (method === 'full' ? 1000 : Number(dimension))),
  ),
  dimensions: [3, 100, 3],
  learningRates: [0.01],
  fullLearningRates: [0.003],
  ...options,
});

test('finds shares and d90, writes table, chart and page, and repeats no run', async () => {
  using folder = scratch();
  const events: StudyEvent[] = [];
  const table = await intrinsicDimension(optionsIn(folder.path, { onEvent: (event) => void events.push(event) }));
  expect(table.rows.map(({ label }) => label)).toEqual(['base', 'full', 'd = 3', 'd = 100']);
  expect(table.rows.map(({ trainable_parameters: count }) => count)).toEqual([0, 1000, 3, 100]);
  const [base, full, three, hundred] = table.rows.map(({ scores }) => scores.loss?.mean ?? NaN) as [
    number,
    number,
    number,
    number,
  ];
  expect(full).toBeLessThan(hundred);
  expect(hundred).toBeLessThan(three);
  expect(three).toBeLessThan(base);
  expect(table.rows.map(({ share }) => share)).toEqual([
    0,
    1,
    expect.closeTo((base - three) / (base - full), 9),
    expect.closeTo((base - hundred) / (base - full), 9),
  ]);
  expect(table).toMatchObject({ d90: null, interpolated: null, above: 100, interrupted: false });
  expect(describeIntrinsic(table)).toContain('d90 is not reached: it is above 100');
  expect(JSON.parse(readFileSync(join(folder.path, 'table.json'), 'utf8')) as IntrinsicTable).toEqual(table);
  expect(readFileSync(join(folder.path, 'table.md'), 'utf8')).toMatch(/^\| trained \|.*\n.*\n\| base \|.*\n\| full \|/);
  const [svg, html] = ['chart.svg', 'report.html'].map((name) => readFileSync(join(folder.path, name), 'utf8')) as [
    string,
    string,
  ];
  expect(svg).toMatch(/^<svg [^]*full fine-tuning[^]*<\/svg>$/);
  expect(svg).not.toContain('NaN');
  expect(html).toContain(svg);
  expect(events.filter(({ type }) => type === 'outcome')).toHaveLength(4);

  // A dimension more is a run more.
  const again: boolean[] = [];
  const wider = await intrinsicDimension(
    optionsIn(folder.path, {
      dimensions: [3, 100, 20000],
      onEvent: (event) => void (event.type === 'outcome' && again.push(event.reused)),
    }),
  );
  expect(again.filter((reused) => reused)).toHaveLength(4);
  expect(again).toHaveLength(5);
  expect(wider.rows.at(-1)?.share).toBeGreaterThan(0.9);
  expect(wider).toMatchObject({ d90: 20000, above: 100 });
  expect(wider.interpolated).toBeGreaterThan(100);
  expect(wider.interpolated).toBeLessThanOrEqual(20000);
  expect(describeIntrinsic(wider)).toMatch(
    /d90 is 20,000 of those that were tried; about [\d,]+ on a straight line over log d/,
  );
});

test('chooses a learning rate for each on rows held out of the training data; reports what fails', async () => {
  using folder = scratch();
  const table = await intrinsicDimension(
    optionsIn(folder.path, {
      dimensions: [2, 50],
      projection: 'fastfood',
      structureAware: true,
      learningRates: [1e-5, 0.02],
      fullLearningRates: [1e-6, 0.003],
      tuneRows: 3,
      tuneSteps: 2,
    }),
  );
  expect(table.rows.map(({ settings, error }) => [settings.learning_rate, error?.code])).toEqual([
    [null, undefined],
    [0.003, undefined],
    [null, 'study.noRate'],
    [0.02, undefined],
  ]);
  expect(table.rows[3]?.tuning.map(({ learning_rate: rate }) => rate)).toEqual([1e-5, 0.02]);
  expect(describeIntrinsic(table)).toContain('d = 2: the dimension of a subspace');
  expect(readFileSync(join(folder.path, 'report.html'), 'utf8')).toContain('<b>0.02: ');
});

test('asks for no run twice, whatever the seeds: the base has none', async () => {
  using folder = scratch();
  const asked: string[] = [];
  const executor: Executor = {
    async execute(runs, { onOutcome }) {
      for (const run of runs) {
        asked.push(run.id);
        await onOutcome(run, { id: run.id, status: 'failed', error: { code: 'test', message: 'not done' } });
      }
    },
  };
  await expect(intrinsicDimension(optionsIn(folder.path, { seeds: 3, executor }))).rejects.toThrow(
    /the base model: .*not done/,
  );
  expect(asked).toHaveLength(1 + 3 * 3);
  expect(new Set(asked).size).toBe(asked.length);
});

test('is given up without a table when the signal says so, and goes on', async () => {
  using folder = scratch();
  const controller = new AbortController();
  const stopped = await intrinsicDimension(
    optionsIn(folder.path, {
      dimensions: [3],
      signal: controller.signal,
      onEvent: (event) => void (event.type === 'outcome' && event.run.label.startsWith('full') && controller.abort()),
    }),
  );
  expect(stopped.interrupted).toBe(true);
  expect(existsSync(join(folder.path, 'table.json'))).toBe(false);
  const reused: boolean[] = [];
  await intrinsicDimension(
    optionsIn(folder.path, {
      dimensions: [3],
      onEvent: (event) => void (event.type === 'outcome' && reused.push(event.reused)),
    }),
  );
  expect(reused).toEqual([true, true, false]);
});

test('fails without full fine-tuning', async () => {
  using folder = scratch();
  await expect(
    intrinsicDimension(
      optionsIn(folder.path, {
        dimensions: [3],
        training: { ...optionsIn('').training, clip: 0 },
        fullLearningRates: [1e30],
      }),
    ),
  ).rejects.toThrow(/full fine-tuning: expected a run that completes/);
  await expect(intrinsicDimension(optionsIn(folder.path, { dimensions: [] }))).rejects.toThrow(
    /the dimensions to try: expected at least one/,
  );
  await expect(intrinsicDimension(optionsIn(folder.path, { dimensions: [2.5] }))).rejects.toThrow(
    /--dimensions: expected a whole number of at least 1/,
  );
});
