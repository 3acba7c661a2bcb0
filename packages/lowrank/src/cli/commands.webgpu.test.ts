import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { EvaluateFolderResult } from '../jobs/evaluate.js';
import { expectClose, golden, readJson, runCli, scratch, trainGolden } from '../testing.js';
import type { Trajectory } from '../testing.js';

const evalData = join(golden, 'train/eval.jsonl');

test.each(['lora', 'full'] as const)('train --device webgpu: the golden trajectory of method %s', async (method) => {
  using folder = scratch();
  const { result, metrics, expected } = await trainGolden({
    method,
    output: join(folder.path, 'out'),
    device: 'webgpu',
  });
  expectClose(
    metrics.map(({ loss }) => loss),
    expected.losses,
    1e-4,
  );
  expectClose(
    metrics.map(({ grad_norm }) => grad_norm),
    expected.gradNorms,
    1e-4,
  );
  expectClose([result.eval_loss ?? NaN], [expected.after.eval.loss], 1e-4);
});

test('eval and generate --device webgpu agree with transformers', async () => {
  const { after, greedyAfter } = readJson<Trajectory>(join(golden, 'train/lora.json'));
  const flags = [
    '--model',
    join(golden, 'tied'),
    '--adapter',
    join(golden, 'train/lora/final'),
    '--device',
    'webgpu',
    '--json',
  ];
  const [evaluated] = (await runCli(['eval', ...flags, '--data', evalData])).json<EvaluateFolderResult>();
  expectClose([evaluated?.loss ?? NaN], [after.eval.loss], 1e-5);
  const [{ prompt, ids } = { prompt: '', ids: [] }] = greedyAfter;
  const [generated] = (
    await runCli(['generate', ...flags, '--prompt', prompt, '--max-new-tokens', String(ids.length)])
  ).json<{ ids: number[] }>();
  expect(generated?.ids).toEqual(ids);
});

test('auto takes a real GPU, or the CPU and says so: never a software adapter', async () => {
  const [findings] = (await runCli(['doctor', '--json'])).json<{
    auto: string;
    adapters: { software: boolean; name: string }[];
  }>();
  expect(findings?.adapters.length).toBeGreaterThan(0);
  const hasGpu = findings?.adapters.some(({ software }) => !software) === true;
  expect(findings?.auto).toBe(hasGpu ? 'webgpu' : 'cpu');
  const { stderr } = await runCli(['eval', '--model', join(golden, 'tied'), '--data', evalData]);
  expect(stderr).toContain(hasGpu ? 'device: webgpu' : 'No GPU was found, so the CPU does the work');
  expect((await runCli(['doctor'])).stdout).toContain(findings?.adapters[0]?.name);
});
