import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { EvaluateFolderResult } from '../jobs/evaluate.js';
import type { FineTuneResult } from '../jobs/fineTune.js';
import type { GenerateFolderResult } from '../jobs/generate.js';
import type { RunRecord } from '../runs/runRecord.js';
import { golden, readJson, readLines, runCli, scratch } from '../testing.js';
import { describeLearned } from './describeLearned.js';

const model = join(golden, 'tied');
const evalData = join(golden, 'train/eval.jsonl');
const training = ['train', '--model', model, '--data', join(golden, 'train/rows.jsonl'), '--eval-data', evalData];
const budget = ['--steps', '8', '--batch-size', '4', '--learning-rate', '0.02', '--device', 'cpu'];
const argv = [...training, ...budget, '--r', '4'];

test('train tells the loss before and after, and samples of the base and of the adapter', async () => {
  using place = scratch();
  const output = join(place.path, 'run');
  const { code, stderr } = await runCli([...argv, '--output', output, '--samples', '2', '--eval-every', '4']);
  expect(code).toBe(0);
  const { eval_loss: after, eval_loss_before: before, samples } = readJson<RunRecord>(join(output, 'run.json'));
  const [base] = (
    await runCli(['eval', '--model', model, '--data', evalData, '--device', 'cpu', '--json'])
  ).json<EvaluateFolderResult>();
  expect(before).toBeCloseTo(base?.loss ?? NaN, 6);
  expect(after ?? NaN).toBeLessThan(before ?? NaN);
  expect(readLines<object>(join(output, 'metrics.jsonl'))[0]).toEqual({ step: 0, eval_loss: before });
  expect(stderr).toContain(`on held-out rows: loss ${before?.toFixed(4)} before, ${after?.toFixed(4)} after (perp`);
  const rows = readLines<{ prompt: string; completion: string }>(evalData);
  expect(samples).toHaveLength(2);
  const [first] = samples;
  expect(rows.some(({ prompt, completion }) => prompt === first?.prompt && completion === first.wanted)).toBe(true);
  const generate = async (adapter: readonly string[]): Promise<string> => {
    const asked = ['--prompt', first?.prompt ?? '', '--max-new-tokens', '64', '--stop', '\n', '--device', 'cpu'];
    const written = await runCli(['generate', '--model', model, ...adapter, ...asked, '--temperature', '0', '--json']);
    return written.json<GenerateFolderResult>().at(-1)?.text ?? '';
  };
  const uncut = (text: string | null | undefined): string | undefined => text?.replace(/…$/, '');
  expect(uncut(first?.before)).toBe(await generate([]));
  expect(uncut(first?.after)).toBe(await generate(['--adapter', output]));
  expect(first?.after).not.toBe(first?.before);
  expect(stderr).toContain(`  wanted  ${first?.wanted?.trim()}`);
});

test('a run that goes on knows the loss before; of full there is no base; 0 samples are none', async () => {
  using place = scratch();
  const output = join(place.path, 'run');
  const full = [...training, ...budget, '--method', 'full'];
  const argument = [...full, '--output', output, '--json'];
  const stopped = await runCli(argument, { interruptWhen: (stdout) => stdout.includes('"step":2,') });
  const [before, rest] = [stopped, await runCli(argument)].map(
    (run) => run.json<FineTuneResult>().at(-1)?.eval_loss_before,
  );
  expect(before).toBeGreaterThan(0);
  expect(rest).toBe(before);
  const { samples } = readJson<RunRecord>(join(output, 'run.json'));
  expect(samples.map(({ before: base, after }) => [base, typeof after])).toEqual(samples.map(() => [null, 'string']));
  expect(samples.length).toBeGreaterThan(0);
  const none = join(place.path, 'none');
  await runCli([...argv, '--steps', '1', '--output', none, '--samples', '0']);
  expect(readJson<RunRecord>(join(none, 'run.json')).samples).toEqual([]);
});

test('texts of several lines stay below one another, long ones are cut, and preferences have no perplexity', () => {
  const losses = { eval_loss: 0.5, eval_loss_before: 0.6931 };
  const sample = { prompt: `${'x'.repeat(500)}end`, before: 'one\ntwo', after: ' ', wanted: 'y' };
  const text = describeLearned(losses, { samples: [sample], isText: false });
  const prompt = `…${'x'.repeat(397)}end`;
  expect(text.split('\n')).toEqual([
    'on held-out rows: loss 0.6931 before, 0.5000 after',
    '',
    `  prompt  ${prompt}`,
    '  base    one',
    '          two',
    '  tuned   (nothing)',
    '  wanted  y',
  ]);
  expect(describeLearned({ eval_loss: null, eval_loss_before: null }, { samples: [], isText: true })).toBe('');
});
