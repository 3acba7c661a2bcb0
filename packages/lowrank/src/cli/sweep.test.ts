import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { EvaluateFolderResult } from '../jobs/evaluate.js';
import type { StudyTable } from '@lowrank/study';
import { golden, readJson, runCli, scratch } from '../testing.js';

const model = join(golden, 'tied');
const data = join(golden, 'train/rows.jsonl');

const sweep = (output: string, ...flags: string[]): ReturnType<typeof runCli> =>
  runCli([
    'sweep',
    '--model',
    model,
    '--data',
    data,
    '--hold-out',
    '4',
    '--output',
    output,
    '--steps',
    '3',
    '--batch-size',
    '2',
    '--device',
    'cpu',
    '--json',
    ...flags,
  ]);

describe('lowrank sweep', () => {
  it('trains every combination, scores it on rows held out, and copies the best', async () => {
    using place = scratch();
    const output = join(place.path, 'study');
    const ran = await sweep(
      output,
      '--r',
      '1,2',
      '--learning-rate',
      '1e-3,1e-2',
      '--target-modules',
      'q_proj+v_proj,all-linear,q_proj+v_proj',
    );
    expect(ran.code).toBe(0);
    const table = ran.json<unknown>().pop() as StudyTable;
    expect(table.rows.map(({ label }) => label)).toEqual(
      ['1', '2'].flatMap((r) =>
        ['0.001', '0.01'].flatMap((rate) =>
          ['q_proj+v_proj', 'all-linear'].map((names) => `r ${r}, learning rate ${rate}, ${names}`),
        ),
      ),
    );
    const losses = table.rows.map(({ scores }) => scores.loss?.mean ?? NaN);
    expect(new Set(losses).size).toBe(8);
    const best = table.rows[losses.indexOf(Math.min(...losses))];
    expect(table.best).toBe(best?.label);
    expect(readJson<{ r: number }>(join(output, 'best/adapter_config.json')).r).toBe(best?.settings.r);
    expect(existsSync(join(output, 'best/outcome.json'))).toBe(false);
    expect(readFileSync(join(output, 'chart.svg'), 'utf8')).toContain('learning rate 0.01, all-linear');

    // What the table says of the best is what its files say of themselves.
    const one = best?.folders[0] ?? '';
    const { run } = readJson<{ run: { scoring: { parts: { part: string }[] } } }>(join(output, one, 'outcome.json'));
    expect(run.scoring.parts).toEqual([{ rows: 4, seed: 0, part: 'held' }]);
  });

  it('tells in words what is best, and of failures', async () => {
    using place = scratch();
    const ran = await runCli([
      'sweep',
      '--model',
      model,
      '--data',
      data,
      '--hold-out',
      '4',
      '--output',
      join(place.path, 'study'),
      '--steps',
      '2',
      '--batch-size',
      '2',
      '--r',
      '1',
      '--target-modules',
      'q_proj,nowhere',
      '--device',
      'cpu',
    ]);
    expect(ran.stdout).toMatch(/^setting .*trained .*loss/);
    expect(ran.stdout).toMatch(/Best: r 1, q_proj, loss /);
    expect(ran.stdout).toMatch(/\nr 1, nowhere: .*nowhere/);
  });

  it.each([
    [['--r', '0'], /--r: expected a whole number of at least 1, got 0/],
    [['--target-modules', 'a+b,+'], /--target-modules: expected sets of names/],
    [['--hold-out', '100000'], /100000 rows held out/],
    [['--init-lora-weights', 'loftq'], /loftq: expected --quantization nf4, fp4 or int8 with it/],
    [['--completion-after', 'A: ', '--data', join(golden, 'nowhere.jsonl')], /nowhere\.jsonl/],
  ])('%j: refused before anything is trained', async (flags, complaint) => {
    using place = scratch();
    const ran = await sweep(join(place.path, 'study'), ...flags);
    expect(ran.stderr).toMatch(complaint);
    expect(ran.stderr).not.toContain('run 1 of');
    expect(ran.code).toBe(2);
  });
});

describe('lowrank eval --metric', () => {
  const evaluate = (...flags: string[]): ReturnType<typeof runCli> =>
    runCli(['eval', '--model', model, '--device', 'cpu', '--json', ...flags]);

  it('scores texts beside the loss, over as many prompts as are asked for', async () => {
    const ran = await evaluate(
      '--data',
      data,
      '--metric',
      'rouge-l,exact-match',
      '--score-rows',
      '3',
      '--max-new-tokens',
      '4',
    );
    const [result] = ran.json<EvaluateFolderResult>();
    expect(result?.prompts).toBe(3);
    expect(Object.keys(result?.scores ?? {})).toEqual(['loss', 'rouge-l', 'exact-match']);
    expect(result?.scores.loss).toBe(result?.loss);
    const [all] = (await evaluate('--data', data)).json<EvaluateFolderResult>();
    expect(all?.tokens).toBeGreaterThan(result?.tokens ?? 0);
  });

  it('wants prompts, and takes them out of texts', async () => {
    using place = scratch();
    const texts = join(place.path, 'texts.jsonl');
    writeFileSync(texts, ['name: ada A: x', 'name: bob A: y'].map((text) => JSON.stringify({ text })).join('\n'));
    const refused = await evaluate('--data', texts, '--metric', 'exact-match');
    expect(refused.stderr).toMatch(/line 1, for the metric exact-match: expected a prompt.*--completion-after/);
    const split = (
      await evaluate('--data', texts, '--metric', 'exact-match', '--completion-after', 'A: ', '--max-new-tokens', '2')
    ).json<EvaluateFolderResult>()[0];
    const whole = (await evaluate('--data', texts)).json<EvaluateFolderResult>()[0];
    expect(split?.prompts).toBe(2);
    expect(split?.tokens).toBeLessThan(whole?.tokens ?? 0);
    expect((await evaluate('--data', texts, '--completion-after', 'B: ')).stderr).toMatch(
      /line 1: expected a text with "B: " in it.*2 rows are without it/,
    );
  });
});
