import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { findFamily } from '@lowrank/models';
import { expect, test } from 'vitest';
import type { EvaluateFolderResult } from '../jobs/evaluate.js';
import type { Metrics } from '../metricsFile.js';
import { expectClose, golden, readJson, readLines, runCli, scratch } from '../testing.js';

const data = join(golden, 'train/rows.jsonl');

const families = join(golden, '../families');

/** The first tiny model of each `model_type`. */
const firsts = new Map(
  readdirSync(families, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort()
    .reverse()
    .map((name) => [readJson<{ model_type: string }>(join(families, name, 'config.json')).model_type, name]),
);

test.each([...firsts])(
  '%s (%s): ten steps on the default targets, the loss falls; then evaluated, merged, evaluated again, and it writes',
  async (modelType, variant) => {
    using folder = scratch();
    const model = join(families, variant);
    const [adapter, merged] = [join(folder.path, 'adapter'), join(folder.path, 'merged')];
    const run = await runCli([
      'train',
      '--model',
      model,
      '--data',
      data,
      '--output',
      adapter,
      '--steps',
      '10',
      '--batch-size',
      '8',
      '--learning-rate',
      '0.05',
      '--warmup',
      '1',
      '--device',
      'cpu',
      '--json',
    ]);
    expect(run.stderr).not.toContain('rror');
    expect(run.code).toBe(0);
    const losses = readLines<Metrics>(join(adapter, 'metrics.jsonl')).map(({ loss }) => loss);
    expect(losses).toHaveLength(10);
    expect(losses[9]).toBeLessThan(0.9 * (losses[0] ?? 0));
    expect(readJson(join(adapter, 'adapter_config.json'))).toMatchObject({
      target_modules: findFamily(modelType)?.defaultTargets,
    });

    const evaluate = async (flags: string[]): Promise<number> =>
      (await runCli(['eval', ...flags, '--data', data, '--device', 'cpu', '--json'])).json<EvaluateFolderResult>()[0]
        ?.loss ?? NaN;
    const adapted = await evaluate(['--model', model, '--adapter', adapter]);
    expect(adapted).toBeLessThan(0.9 * (await evaluate(['--model', model])));
    expect((await runCli(['merge', '--model', model, '--adapter', adapter, '--output', merged])).code).toBe(0);
    expectClose([await evaluate(['--model', merged])], [adapted], 1e-5);
    const generated = await runCli([
      'generate',
      '--model',
      merged,
      '--prompt',
      'name: ada',
      '--max-new-tokens',
      '5',
      '--device',
      'cpu',
      '--json',
    ]);
    expect(generated.code).toBe(0);
  },
);
