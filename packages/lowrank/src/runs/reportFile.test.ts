import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createCpuBackend } from '@lowrank/cpu';
import type { ReportedRun } from '@lowrank/study';
import type { Backend } from '@lowrank/tensor';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fineTuneFolder } from '../jobs/fineTune.js';
import type { FineTuneFolderOptions } from '../jobs/fineTuneOptions.js';
import { golden, readLines, scratch } from '../testing.js';
import { ReportFile } from './reportFile.js';

let backend: Backend;
beforeAll(async () => void (backend = await createCpuBackend()));
afterAll(() => backend.dispose());

const pageOf = (folder: string): string => readFileSync(join(folder, 'report.html'), 'utf8');

type Part = Pick<FineTuneFolderOptions, 'output'> & Partial<FineTuneFolderOptions>;

const train = (part: Part): ReturnType<typeof fineTuneFolder> =>
  fineTuneFolder({
    backend,
    model: join(golden, 'tied'),
    data: join(golden, 'train/rows.jsonl'),
    evalData: join(golden, 'train/eval.jsonl'),
    r: 2,
    batchSize: 2,
    steps: 6,
    evaluateEvery: 2,
    saveEvery: 2,
    ...part,
  });

test('a run has a report from its first step on, through a stop, to its end', async () => {
  using place = scratch();
  const output = join(place.path, 'my <run>');
  const controller = new AbortController();
  const pages: string[] = [];
  const stopped = await train({
    output,
    signal: controller.signal,
    onEvent(event) {
      if (event.type !== 'step') return;
      if (event.step === 1) pages.push(pageOf(output));
      if (event.step === 3) controller.abort();
    },
  });
  expect(pages[0]).toContain('<meta http-equiv="refresh"');
  expect(pages[0]).toContain('<dt>steps</dt><dd>1 of 6</dd>');
  expect(pages[0]).toContain('<title>my &lt;run&gt;</title>');
  expect(pageOf(output)).toContain('<b class="stopped">stopped</b>');

  const { resumed_from: from, ...result } = await train({ output });
  const page = pageOf(output);
  expect(from).toBe(stopped.steps);
  expect(page).toContain('<b class="finished">finished</b> after 6 steps');
  expect(page).not.toContain('http-equiv="refresh"');
  expect(page).toContain(`Stopped, and resumed from step ${from} at `);
  expect(page).toContain(`<dt>trained parameters</dt><dd>${result.trained_parameters.toLocaleString('en')}</dd>`);
  const tokens = readLines<{ tokens?: number }>(join(output, 'metrics.jsonl')).reduce(
    (sum, line) => sum + (line.tokens ?? 0),
    0,
  );
  expect(page).toContain(`<dt>tokens</dt><dd>${tokens.toLocaleString('en')}</dd>`);
  expect(page).toContain('aria-label="Device memory over 6 steps"');
  // The evaluations before the first step and after steps 2, 4 and 6 on one line, and the best of them.
  const [loss = ''] = /<svg [^>]*aria-label="Loss[^]*?<\/svg>/.exec(page) ?? [];
  expect([...loss.matchAll(/<title>step (\d): [\d.]+/g)].map(([, step]) => step)).toEqual(['0', '2', '4', '6']);
});

const run: ReportedRun = {
  name: 'run',
  status: 'running',
  started: '',
  updated: '',
  method: 'lora',
  places: {},
  device: 'cpu',
  inputs: [],
  settings: {},
  given: {},
  steps: 100,
  seconds: 1,
  best: null,
  stopped_by: null,
  eval_loss: null,
  error: null,
};

test('is written at the first line and every 30 seconds after, of all lines before', async () => {
  using place = scratch();
  const folder = place.path;
  const warnings: string[] = [];
  let now = 0;
  writeFileSync(join(folder, 'metrics.jsonl'), '{"step":1,"loss":3}\n{"step":2,"loss":2}\n{"step":3,"lo');
  const report = new ReportFile({ folder, warn: (text) => void warnings.push(text), run: () => run, clock: () => now });
  await report.open(true);
  const steps: (string | undefined)[] = [];
  for (const [step, time] of [
    [3, 1000],
    [4, 2000],
    [5, 30_999],
    [6, 31_000],
    [7, 32_000],
  ] as const) {
    now = time;
    await report.add({ step, loss: 1 });
    steps.push(/aria-label="Loss over (\d) steps"/.exec(pageOf(folder))?.[1]);
  }
  expect(steps).toEqual(['3', '3', '3', '6', '6']);
  report.include({ step: 7, eval_loss: 2 });
  report.include({ step: 7, eval_loss: 2 });
  await report.write();
  expect(pageOf(folder)).toContain('Loss over 7 steps');
  expect(pageOf(folder).match(/<title>step 7: 2</g)).toHaveLength(2);
  expect(warnings).toEqual([]);
});

test('that it cannot be written is told once', async () => {
  using place = scratch();
  const folder = place.path;
  mkdirSync(join(folder, 'report.html', 'in the way'), { recursive: true });
  const warnings: string[] = [];
  const report = new ReportFile({ folder, warn: (text) => void warnings.push(text), run: () => run });
  await report.open(false);
  for (const step of [1, 2]) {
    await report.add({ step, loss: 1 });
    await report.write();
  }
  expect(warnings).toEqual([
    expect.stringMatching(/^report\.html cannot be written \(.*\); the run goes on without it$/),
  ]);
});
