import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { PlanReport } from '../jobs/planning/planReport.js';
import { golden, runCli, scratch } from '../testing.js';

const model = join(golden, 'tied');
const data = join(golden, 'train/rows.jsonl');

const config = {
  model_type: 'llama',
  vocab_size: 512,
  hidden_size: 256,
  intermediate_size: 512,
  num_hidden_layers: 6,
  num_attention_heads: 4,
};

test('plan computes as few layers twice as needed, and says what fits where all are not enough', async () => {
  using folder = scratch();
  const file = join(folder.path, 'config.json');
  writeFileSync(file, JSON.stringify(config));
  const args = ['plan', '--config', file, '--max-length', '128'];
  const planned = async (...flags: string[]): Promise<PlanReport> => {
    const ran = await runCli([...args, '--json', ...flags]);
    const [report] = ran.json<PlanReport>();
    if (report === undefined) throw new Error(ran.stderr);
    return report;
  };
  const [none, all] = [await planned(), await planned('--checkpointing')];
  expect([none.recomputed_layers, all.recomputed_layers]).toEqual([0, none.layers]);
  const budget = Math.ceil((none.bytes.peak + all.bytes.peak) / 2);
  const some = await planned('--memory-budget', String(budget));
  expect(some.bytes.peak).toBeLessThanOrEqual(budget);
  expect(some.recomputed_layers).toBeGreaterThan(0);
  expect(some.recomputed_layers).toBeLessThan(none.layers);
  expect((await planned('--memory-budget', `${Math.ceil(none.bytes.peak / 1e5) / 10}MB`)).checkpointing).toBe(false);

  const refused = await runCli([...args, '--memory-budget', String(all.bytes.peak - 500_000)]);
  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toMatch(
    /--memory-budget [\d.]+MB.*every layer computed twice.*a step of [\d.]+MB.*fits with --/s,
  );
  expect((await runCli([...args, '--memory-budget', '1GB', '--checkpointing'])).stderr).toMatch(
    /--memory-budget.*--checkpointing|--checkpointing.*--memory-budget/s,
  );
  expect((await runCli([...args, '--memory-budget', 'lots'])).stderr).toMatch(/8GB, 7\.5GiB/);
});

test('train keeps within it, and learns the same', async () => {
  using folder = scratch();
  const train = async (
    name: string,
    ...flags: string[]
  ): Promise<{ code: number; stderr: string; losses: number[] }> => {
    const args = ['train', '--model', model, '--data', data, '--output', join(folder.path, name), '--steps', '3'];
    const ran = await runCli([...args, '--device', 'cpu', '--json', ...flags]);
    const losses = ran.json<{ loss?: number }>().flatMap(({ loss }) => (loss === undefined ? [] : [loss]));
    return { code: ran.code, stderr: ran.stderr, losses };
  };
  const sizeIn = (text: string): number => Number(/a step takes ([\d.]+)MB/.exec(text)?.[1]);
  const free = await train('free', '--memory-budget', '8GB');
  expect(free.stderr).toMatch(/nothing is computed twice/);
  const tight = await train('tight', '--memory-budget', `${sizeIn(free.stderr) - 0.2}MB`);
  expect(tight.stderr).toMatch(/the first \d of \d layers are computed twice/);
  expect(sizeIn(tight.stderr)).toBeLessThan(sizeIn(free.stderr));
  expect(tight.losses.length).toBe(free.losses.length);
  tight.losses.forEach((loss, at) => expect(Math.abs(loss - (free.losses[at] ?? NaN))).toBeLessThan(1e-5));
  const none = await train('none', '--memory-budget', '1KB');
  expect(none.code).not.toBe(0);
  expect(none.stderr).toMatch(/--memory-budget 0.1MB.*a step of [\d.]+MB.*lowrank plan/s);
});
