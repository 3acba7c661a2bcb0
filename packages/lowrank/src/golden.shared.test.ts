import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { readDataset, readTokenizer, trainingBatches } from '@lowrank/data';
import { parameterGradients } from '@lowrank/trainer';
import { chooseBackend } from './device.js';
import type { EvaluateFolderResult } from './jobs/evaluate.js';
import { openModel } from './jobs/openModel.js';
import { applyMethod } from './jobs/methodRun.js';
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
  grad_norms_A_B_at_init_first_batch: Record<string, [a: number, b: number]>;
  grad_norms_A_B_at_final_first_batch: Record<string, [a: number, b: number]>;
}

/** Lines from … to of the data set, as a file of their own. */
function slice(from: number, to: number, path: string): string {
  writeFileSync(path, readFileSync(data, 'utf8').split('\n').slice(from, to).join('\n') + '\n');
  return path;
}

function worst(values: readonly number[], expected: readonly number[]): number {
  expect(values.length).toBe(expected.length);
  return Math.max(
    ...values.map((value, at) => Math.abs(value - (expected[at] ?? NaN)) / Math.abs(expected[at] ?? NaN)),
  );
}

describe.each([
  // stories3M on the CPU: tests/golden/cpu.shared.test.ts.
  ['stories260K', 'cpu'],
] as const)('%s on %s', (name, device) => {
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

  test.each(['init', 'final'] as const)(
    'the gradient norm of each matrix at the %s adapter is that of PyTorch',
    async (at) => {
      using folder = scratch();
      const { backend } = await chooseBackend(device);
      const open = await openModel(model);
      const trainable = await applyMethod(open, 'lora', { seed: 0, initAdapter: join(run, at) });
      const { rows } = await readDataset(slice(0, 8, join(folder.path, 'rows.jsonl')), await readTokenizer(model));
      const [batch] = trainingBatches(rows, { batchSize: 8, shuffle: false }).next().value;
      if (batch === undefined) throw new Error('a batch');
      const gradients = await parameterGradients({ backend, loss: open.loss, parameters: trainable.parameters, batch });
      backend.dispose();
      const expected =
        at === 'init' ? golden.grad_norms_A_B_at_init_first_batch : golden.grad_norms_A_B_at_final_first_batch;
      expect(gradients.size).toBe(2 * Object.keys(expected).length);
      for (const [path, norms] of Object.entries(expected)) {
        for (const [half, norm] of [
          ['lora_A', norms[0]],
          ['lora_B', norms[1]],
        ] as const) {
          const own = Math.hypot(...(gradients.get(`${path}.${half}`) ?? [NaN]));
          expect(Math.abs(own - norm)).toBeLessThanOrEqual(norm === 0 ? 1e-7 : 1e-4 * norm);
        }
      }
    },
  );

  test('thirty steps go the way of PyTorch', async () => {
    using folder = scratch();
    mkdirSync(folder.path, { recursive: true });
    const rows = slice(0, 300, join(folder.path, 'train.jsonl'));
    const flags = [
      '--steps',
      '30',
      '--batch-size',
      '8',
      '--learning-rate',
      String(golden.lr),
      '--clip',
      '1',
      '--no-shuffle',
      '--init-adapter',
      join(run, 'init'),
      '--device',
      device,
      '--json',
    ];
    const output = join(folder.path, 'adapter');
    const outcome = await runCli(['train', '--model', model, '--data', rows, '--output', output, ...flags]);
    if (outcome.code !== 0) throw new Error(outcome.stderr);
    const metrics = readLines<{ loss: number; grad_norm: number }>(join(output, 'metrics.jsonl'));
    expect(
      worst(
        metrics.map(({ loss }) => loss),
        golden.losses,
      ),
    ).toBeLessThan(1e-4);
    expect(
      worst(
        metrics.map(({ grad_norm }) => grad_norm),
        golden.grad_norms,
      ),
    ).toBeLessThan(1e-4);
    const rest = await evaluate(slice(300, 400, join(folder.path, 'eval.jsonl')), ['--adapter', output]);
    expect(worst([rest.loss], [golden.adapter_eval_loss])).toBeLessThan(1e-4);
  });
});

test('stories260K writes the published text from an empty prompt', async () => {
  const model = join(shared, 'data/models/stories260K');
  const published = readFileSync(join(model, 'golden/stories260K.md'), 'utf8');
  const outcome = await runCli([
    'generate',
    '--model',
    model,
    '--prompt',
    '',
    '--max-new-tokens',
    '200',
    '--temperature',
    '0',
    '--device',
    'cpu',
    '--json',
  ]);
  const [result] = outcome.json<{ text: string; ids: number[] }>();
  expect(result?.ids.length).toBe(200);
  expect(published.replaceAll(/\s+/g, ' ')).toContain((result?.text ?? '?').trim().replaceAll(/\s+/g, ' '));
});
