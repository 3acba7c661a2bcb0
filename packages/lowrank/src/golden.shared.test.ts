import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { EvaluateFolderResult } from './jobs/evaluate.js';
import { readJson, readLines, runCli, scratch } from './testing.js';

const shared = fileURLToPath(new URL('../../../../shared', import.meta.url));
const data = join(shared, 'data/datasets/e2e-nlg/train.jsonl');

interface Golden {
  base_eval_loss: number;
  adapter_eval_loss: number;
  eval_tokens: number;
  lr: number;
  losses: number[];
  grad_norms: number[];
}

/** Lines from … to of the data set, as a file of their own. */
function slice(from: number, to: number, path: string): string {
  writeFileSync(path, readFileSync(data, 'utf8').split('\n').slice(from, to).join('\n') + '\n');
  return path;
}

function worst(values: readonly number[], expected: readonly number[]): number {
  expect(values.length).toBe(expected.length);
  return Math.max(...values.map((value, at) => Math.abs(value - (expected[at] ?? NaN)) / Math.abs(expected[at] ?? NaN)));
}

describe.each([
  ['stories260K', 'cpu'],
  ['stories3M', 'cpu'],
])('%s on %s', (name, device) => {
  const model = join(shared, 'data/models', name);
  const run = join(shared, 'golden', `${name}-e2e`);
  const golden = readJson<Golden>(join(run, 'golden.json'));
  const evaluate = async (file: string, adapter: readonly string[] = []): Promise<EvaluateFolderResult> => {
    const outcome = await runCli(['eval', '--model', model, ...adapter, '--data', file, '--device', device, '--json']);
    const [result] = outcome.json<EvaluateFolderResult>();
    if (result === undefined || outcome.code !== 0) throw new Error(outcome.stderr);
    return result;
  };

  test('the base model and the final adapter have the losses of PyTorch', async () => {
    using folder = scratch();
    const rows = slice(300, 400, join(folder.path, 'eval.jsonl'));
    const base = await evaluate(rows);
    expect(base).toMatchObject({ tokens: golden.eval_tokens, rows: 100 });
    expect(worst([base.loss], [golden.base_eval_loss])).toBeLessThan(1e-4);
    const adapted = await evaluate(rows, ['--adapter', join(run, 'final')]);
    expect(worst([adapted.loss], [golden.adapter_eval_loss])).toBeLessThan(1e-4);
  });

  test('thirty steps go the way of PyTorch', async () => {
    using folder = scratch();
    mkdirSync(folder.path, { recursive: true });
    const rows = slice(0, 300, join(folder.path, 'train.jsonl'));
    const flags = ['--steps', '30', '--batch-size', '8', '--learning-rate', String(golden.lr), '--clip', '1', '--no-shuffle', '--init-adapter', join(run, 'init'), '--device', device, '--json'];
    const output = join(folder.path, 'adapter');
    const outcome = await runCli(['train', '--model', model, '--data', rows, '--output', output, ...flags]);
    if (outcome.code !== 0) throw new Error(outcome.stderr);
    const metrics = readLines<{ loss: number; grad_norm: number }>(join(output, 'metrics.jsonl'));
    expect(worst(metrics.map(({ loss }) => loss), golden.losses)).toBeLessThan(1e-4);
    expect(worst(metrics.map(({ grad_norm }) => grad_norm), golden.grad_norms)).toBeLessThan(1e-4);
    const rest = await evaluate(slice(300, 400, join(folder.path, 'eval.jsonl')), ['--adapter', output]);
    expect(worst([rest.loss], [golden.adapter_eval_loss])).toBeLessThan(1e-4);
  });
});

test('stories260K writes the published text from an empty prompt', async () => {
  const model = join(shared, 'data/models/stories260K');
  const published = readFileSync(join(model, 'golden/stories260K.md'), 'utf8');
  const outcome = await runCli(['generate', '--model', model, '--prompt', '', '--max-new-tokens', '200', '--temperature', '0', '--device', 'cpu', '--json']);
  const [result] = outcome.json<{ text: string; ids: number[] }>();
  expect(result?.ids.length).toBe(200);
  expect(published.replaceAll(/\s+/g, ' ')).toContain((result?.text ?? '?').trim().replaceAll(/\s+/g, ' '));
});
