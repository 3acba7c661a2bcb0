import { describe, expect, it } from 'vitest';
import type { MetricName } from '@lowrank/data';
import { describeTable, markdownTable } from './describeTable.js';
import { spreadOf } from './statistics.js';
import type { StudyOutcome, StudyRun } from '../runs/studyRun.js';
import type { StudyRow, StudyTable } from './table.js';
import { againstFull, bestRow, studyRow } from './table.js';

const run = (id: string): StudyRun => ({
  id,
  label: id,
  purpose: 'score',
  folder: `/out/runs/${id}`,
  training: { model: 'm', data: 'd' },
  scoring: { data: 't', metrics: ['rouge-l'], seed: 0 },
});

const done = (id: string, scores: Partial<Record<MetricName, number>>, seconds = 0.2): StudyOutcome => ({
  id,
  status: 'done',
  steps: 10,
  trainable_parameters: 50,
  model_parameters: 1000,
  train_loss: 1,
  scores,
  prompts: 3,
  tokens: 30,
  file_bytes: 1234,
  samples: [],
  warnings: [],
  measured: { seconds_per_step: seconds, tokens_per_second: 100, peak_bytes: 5e6, seconds: 9, device: 'cpu' },
});

function rowOf(method: string, values: readonly number[], loss = 2): StudyRow {
  const runs = values.map((_, at) => run(`${method}${at}`));
  const outcomes = new Map(
    runs.map(({ id }, at) => [id, done(id, { loss, 'rouge-l': values[at] ?? 0 }, 0.1 * (at + 1))]),
  );
  return studyRow({ label: method, settings: { method, learning_rate: 1e-3 }, runs, tuning: [] }, outcomes);
}

describe('table of a study', () => {
  it('takes means over the seeds, medians of what is measured, and the error of the first that failed', () => {
    const row = rowOf('lora', [0.5, 0.7, 0.6]);
    expect(row).toMatchObject({
      runs: 3,
      trainable_share: 0.05,
      folders: ['runs/lora0', 'runs/lora1', 'runs/lora2'],
      error: null,
    });
    expect(row.scores['rouge-l']).toEqual(spreadOf([0.5, 0.7, 0.6]));
    expect(row.measured?.seconds_per_step).toBeCloseTo(0.2);
    const failed = studyRow(
      { label: 'x', settings: { method: 'x', learning_rate: 1 }, runs: [run('a'), run('b')], tuning: [] },
      new Map([
        ['a', done('a', { loss: 1 })],
        ['b', { id: 'b', status: 'failed' as const, error: { code: 'c', message: 'NaN' } }],
      ]),
    );
    expect(failed).toMatchObject({ runs: 1, error: { message: 'NaN' }, folders: ['runs/a'] });
  });

  it('says whether a method lies within noise of full fine-tuning', () => {
    const rows = [
      rowOf('full', [0.6, 0.62, 0.58]),
      rowOf('lora', [0.59, 0.61, 0.57]),
      rowOf('prompt', [0.2, 0.22, 0.21]),
      rowOf('adapter', [0.9, 0.91, 0.9]),
    ];
    expect(againstFull(rows, 'rouge-l').map((row) => row.against_full?.verdict)).toEqual([
      undefined,
      'within noise',
      'worse',
      'better',
    ]);
    expect(againstFull([rowOf('full', [0.6]), rowOf('lora', [0.5])], 'rouge-l')[1]?.against_full).toMatchObject({
      verdict: 'unknown',
      interval: null,
    });
    // Less loss is better.
    expect(
      againstFull(
        [
          rowOf('full', [1, 1]),
          { ...rowOf('lora', [1, 1]), scores: { loss: spreadOf([1, 1.01]) } },
          rowOf('prompt', [1, 1], 3),
        ],
        'loss',
      ).map((row) => row.against_full?.verdict),
    ).toEqual([undefined, 'better', 'worse']);
  });

  it('finds the best by the metrics in turn', () => {
    const rows = [rowOf('a', [0.5], 2), rowOf('b', [0.5], 1), rowOf('c', [0.4], 0.5)];
    expect(bestRow(rows, ['rouge-l'])?.label).toBe('b');
    expect(bestRow(rows, ['loss', 'rouge-l'])?.label).toBe('c');
    expect(bestRow([{ ...rowOf('a', [1]), scores: {} }], ['loss'])).toBeUndefined();
  });

  it('is written in columns and in Markdown, with notes on how to read it', () => {
    const rows = againstFull(
      [
        rowOf('full', [0.6, 0.62]),
        {
          ...rowOf('lora', [0.59, 0.61]),
          tuning: [
            { learning_rate: 1e-3, loss: 1, error: null },
            { learning_rate: 3e-4, loss: 2, error: null },
          ],
        },
      ],
      'rouge-l',
    );
    const table: StudyTable = {
      study: 'compare',
      model: 'm',
      model_parameters: 1000,
      data: 'd',
      test_data: 't',
      metrics: ['rouge-l', 'loss'],
      steps: 10,
      batch_size: 8,
      seeds: 2,
      rows,
      best: 'full',
      best_folder: '/out/best',
      interrupted: false,
    };
    const lines = describeTable(table).split('\n');
    expect(lines[0]).toMatch(/^method +learning rate +trained +share +ROUGE-L +loss +against full/);
    expect(lines[2]).toMatch(/^lora +0\.001\* +50 +5% +60\.0 ± 1\.4 +2\.0000 ± 0\.0000 +−1\.0, within noise/);
    expect(describeTable(table)).toContain('Best: full, ROUGE-L 61.0 ± 1.4; its files lie in /out/best.');
    expect(markdownTable(table)).toContain('| lora | 0.001* | 50 | 5% | 60.0 ± 1.4 |');
    expect(markdownTable(table)).toContain('\n\\* the smallest or largest');
    expect(describeTable(table)).toContain('“Within noise”');
    expect(describeTable({ ...table, rows: againstFull([rowOf('lora', [0.59, 0.61])], 'rouge-l') })).not.toMatch(
      /Within noise|against full/,
    );
  });
});
