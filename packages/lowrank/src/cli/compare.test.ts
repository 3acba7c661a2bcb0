import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { StudyTable } from '@lowrank/study';
import { golden, readJson, runCli, scratch } from '../testing.js';

const model = join(golden, 'tied');
const data = join(golden, 'train/rows.jsonl');
const testData = join(golden, 'train/eval.jsonl');
const all = ['full', 'bitfit', 'prompt', 'prefix', 'adapter', 'lora', 'qlora'];

const compare = (output: string, ...flags: string[]): ReturnType<typeof runCli> =>
  runCli([
    'compare',
    '--model',
    model,
    '--data',
    data,
    '--test-data',
    testData,
    '--output',
    output,
    '--steps',
    '2',
    '--batch-size',
    '2',
    '--tune-rows',
    '3',
    '--device',
    'cpu',
    '--json',
    ...flags,
  ]);

interface Line {
  readonly run: string;
  readonly label: string;
  readonly reused: boolean;
}

/** All that does not depend on the machine. */
function facts(table: StudyTable): unknown {
  return { ...table, best_folder: null, rows: table.rows.map((row) => ({ ...row, measured: null })) };
}

describe('lowrank compare', () => {
  it('trains every method with the rate that is best for it, and writes table, chart and report', async () => {
    using place = scratch();
    const output = join(place.path, 'study');
    const ran = await compare(
      output,
      '--methods',
      all.join(),
      '--learning-rates',
      '1e-3',
      '--learning-rates',
      'full=1e-3,1e-2',
      '--learning-rates',
      'lora=1e-2,1e-3',
      '--metric',
      'rouge-l',
      '--score-rows',
      '2',
      '--max-new-tokens',
      '3',
      '--virtual-tokens',
      '2',
      '--bottleneck',
      '4',
      '--r',
      '2',
    );
    expect(ran.stderr).toContain('run 11 of 11: qlora');
    expect(ran.code).toBe(0);
    const lines = ran.json<Line>();
    const table = lines.pop() as unknown as StudyTable;
    // Two rates for two methods, and a run of each method that counts.
    expect(lines).toHaveLength(2 * 2 + 7);
    expect(table.rows.map(({ label, error }) => [label, error])).toEqual(all.map((label) => [label, null]));
    for (const { settings, tuning, scores, runs } of table.rows) {
      const losses = tuning.map(({ loss }) => loss ?? Infinity);
      if (tuning.length > 0)
        expect(settings.learning_rate).toBe(tuning[losses.indexOf(Math.min(...losses))]?.learning_rate);
      expect(Object.keys(scores)).toEqual(['loss', 'rouge-l']);
      expect(runs).toBe(1);
    }
    const counts = Object.fromEntries(table.rows.map((row) => [row.label, row.trainable_parameters ?? 0]));
    expect(counts).toMatchObject({
      full: table.model_parameters,
      prompt: 2 * 24,
      prefix: 2 * 2 * 2 * 12,
      adapter: 4 * (2 * 4 * 24 + 4 + 24),
      lora: counts['qlora'],
    });
    expect(readJson<StudyTable>(join(output, 'table.json'))).toEqual(table);
    const markdown = readFileSync(join(output, 'table.md'), 'utf8');
    for (const label of all) expect(markdown).toContain(`| ${label} |`);
    expect(readFileSync(join(output, 'chart.svg'), 'utf8')).toMatch(/^<svg[^]*bitfit[^]*<\/svg>$/);
    expect(readFileSync(join(output, 'report.html'), 'utf8')).toContain('<h2>Samples</h2>');
    expect(existsSync(join(output, 'best', table.best === 'full' ? 'config.json' : 'adapter_config.json'))).toBe(true);
  });

  it('does only what is missing, and anew what changed; the table is the same', async () => {
    using place = scratch();
    const output = join(place.path, 'study');
    const rows = join(place.path, 'rows.jsonl');
    writeFileSync(rows, readFileSync(data));
    const flags = ['--data', rows, '--methods', 'full,lora', '--learning-rates', '1e-3', '--seeds', '2'];
    const lines = async (...more: string[]): Promise<{ reused: boolean[]; table: StudyTable }> => {
      const ran = await compare(output, ...flags, ...more);
      expect(ran.code).toBe(0);
      const all = ran.json<Line>();
      const table = all.pop() as unknown as StudyTable;
      return { reused: all.map(({ reused }) => reused), table };
    };
    const first = await lines();
    expect(first.reused).toEqual([false, false, false, false]);
    const [, lora] = first.table.rows;
    expect(lora?.scores.loss?.values).toHaveLength(2);
    expect(lora?.against_full?.interval).toHaveLength(2);
    expect(new Set(lora?.scores.loss?.values).size).toBe(2);

    const again = await lines();
    expect(again.reused).toEqual([true, true, true, true]);
    expect(again.table).toEqual(first.table);

    rmSync(
      join(
        output,
        'runs',
        readdirSync(join(output, 'runs')).find((name) => name.startsWith('lora') && name.includes('seed-1')) ?? '',
        'outcome.json',
      ),
    );
    const mended = await lines();
    expect(mended.reused).toEqual([true, true, true, false]);
    expect(facts(mended.table)).toEqual(facts(first.table));

    expect((await lines('--r', '2')).reused).toEqual([true, true, false, false]);
    writeFileSync(rows, `${readFileSync(data, 'utf8')}\n{"prompt": "one more", "completion": "row"}\n`);
    expect((await lines()).reused).toEqual([false, false, false, false]);
    writeFileSync(rows, readFileSync(data));
    expect((await lines()).reused).toEqual([true, true, true, true]);
  });

  it('makes a row of a method that fails, and goes on', async () => {
    using place = scratch();
    const ran = await compare(
      join(place.path, 'study'),
      '--methods',
      'full,lora',
      '--learning-rates',
      'full=1e30',
      '--learning-rates',
      'lora=1e-3',
      '--clip',
      '0',
    );
    expect(ran.code).toBe(0);
    const table = ran.json<unknown>().pop() as StudyTable;
    expect(table.rows.map(({ runs, error }) => [runs, error?.code])).toEqual([
      [0, 'trainer.nonFinite'],
      [1, undefined],
    ]);
    expect(table.best).toBe('lora');
    expect(readFileSync(join(place.path, 'study/table.md'), 'utf8')).toContain('full: step');
  });

  it('fails where every method does, with the table of why', async () => {
    using place = scratch();
    const ran = await compare(
      join(place.path, 'study'),
      '--methods',
      'full',
      '--learning-rates',
      '1e29,1e30',
      '--clip',
      '0',
    );
    expect(ran.code).toBe(2);
    expect(ran.json<{ error: { code: string } }>().pop()).toMatchObject({ error: { code: 'study.failed' } });
    expect(existsSync(join(place.path, 'study/table.md'))).toBe(true);
  });

  it('ends the run at hand on Ctrl-C, keeps the others, and goes on', async () => {
    using place = scratch();
    const output = join(place.path, 'study');
    const flags = [
      'compare',
      '--model',
      model,
      '--data',
      data,
      '--output',
      output,
      '--hold-out',
      '3',
      '--steps',
      '2',
      '--methods',
      'full,lora,bitfit',
      '--learning-rates',
      '1e-3',
      '--device',
      'cpu',
      '--json',
    ];
    const stopped = await runCli(flags, { interruptWhen: (stdout) => stdout.includes('"full') });
    expect(stopped.code).toBe(130);
    expect(stopped.json<StudyTable>().pop()).toMatchObject({ interrupted: true });
    expect(existsSync(join(output, 'table.md'))).toBe(false);
    const ran = await runCli(flags);
    const lines = ran.json<Line>();
    expect((lines.pop() as unknown as StudyTable).interrupted).toBe(false);
    expect(lines.map(({ reused }) => reused)).toEqual([true, false, false]);
  });

  it.each([
    [['--methods', 'lora,magic'], /--methods: expected full, bitfit.*got magic/],
    [['--learning-rates', 'magic=1e-3'], /got magic/],
    [['--learning-rates', 'lora=fast'], /--learning-rates: expected a number above 0, got fast/],
    [['--metric', 'meteor'], /--metric: expected loss, .*got meteor/],
    [['--metric', 'logical-form'], /reference of the metric logical-form/],
    [['--tune-rows', '100000'], /100000 rows held out of .*rows\.jsonl/],
    [
      ['--methods', 'full,lora', '--bottleneck', '4'],
      /--bottleneck in a comparison of full, lora: expected adapter among the methods/,
    ],
    [
      ['--methods', 'full,lora', '--quantization', 'nf4'],
      /--quantization in a comparison of full, lora: expected qlora/,
    ],
    [['--methods', 'lora', '--eva-batches', '2'], /--eva-batches: expected --init-lora-weights eva with it/],
    [['--test-data', '/nowhere.jsonl'], /nowhere\.jsonl/],
    [['--output', golden.replace(/$/, '/tied')], /expected a folder of its own/],
  ])('%j: refused before anything is trained', async (flags, complaint) => {
    using place = scratch();
    const ran = await compare(join(place.path, 'study'), ...flags);
    expect(ran.stderr).toMatch(complaint);
    expect(ran.stderr).not.toContain('run 1 of');
    expect(ran.code).toBe(2);
  });
});
