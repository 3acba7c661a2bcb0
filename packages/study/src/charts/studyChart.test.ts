import { expect, it } from 'vitest';
import type { StudyRow, StudyTable } from '../tables/table.js';
import { legend } from './legend.js';
import { studyChart } from './studyChart.js';

function row(label: string, r: number, loss?: number): StudyRow {
  const scores = loss === undefined ? {} : { loss: { mean: loss, deviation: 0.1, values: [loss] } };
  return {
    label,
    settings: { method: 'lora', learning_rate: 1e-3, r },
    runs: loss === undefined ? 0 : 1,
    steps: 1,
    trainable_parameters: loss === undefined ? null : 1000 * r,
    trainable_share: null,
    scores,
    train_loss: null,
    file_bytes: null,
    tuning: [],
    against_full: null,
    samples: [],
    error: loss === undefined ? { code: 'internal', message: 'astray' } : null,
    folders: [],
    measured: null,
  };
}

function table(study: StudyTable['study'], rows: readonly StudyRow[]): StudyTable {
  return {
    study,
    model: 'm',
    model_parameters: 1e6,
    data: 'd',
    test_data: null,
    metrics: ['loss'],
    steps: 1,
    batch_size: 1,
    seeds: 1,
    rows,
    best: rows[0]?.label ?? null,
    best_folder: null,
    interrupted: false,
  };
}

it('draws a point for each row with a score, and says which failed', () => {
  const svg = studyChart(table('compare', [row('a < b', 1, 2), row('c', 4, 3), row('d', 8)]));
  expect(svg).toMatch(/^<svg [^]*<\/svg>$/);
  expect(svg).not.toMatch(/NaN|Infinity|undefined/);
  expect(svg).toContain('>a &lt; b</text>');
  // No time was measured: both points lie in one panel alone, beside those of the legend.
  expect(svg.match(/<circle/g)).toHaveLength(2 + 2);
  expect(svg.match(/>failed</g)).toHaveLength(3);
});

it('joins the ranks of a sweep, however they are ordered', () => {
  const svg = studyChart(table('sweep', [row('r 8', 8, 2), row('r 2', 2, 3), row('r 4', 4, 2.5)]));
  const [, path = ''] = /<path d="([^"]*)"[^>]*stroke="#0072b2" stroke-width="2"/.exec(svg) ?? [];
  const xs = path.split(/[ML]/).flatMap((point) => (point === '' ? [] : Number(point.split(' ')[0])));
  expect(xs).toHaveLength(3);
  expect(xs).toEqual([...xs].sort((a, b) => a - b));
});

it('wraps a legend that is wider than the chart', () => {
  const entries = ['one', 'another', 'a third'].map((name) => ({ name, color: '#000', mark: 'dot' as const }));
  expect(legend(entries, { width: 1000 }).height).toBe(22);
  expect(legend(entries, { width: 100 }).height).toBe(66);
  expect(legend([], { width: 100 }).height).toBe(0);
});
