import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { FineTuneResult } from '../jobs/fineTune.js';
import type { ListedRun } from '../runs/listRuns.js';
import { golden, readJson, runCli, scratch } from '../testing.js';

const model = join(golden, 'tied');
const data = join(golden, 'train/rows.jsonl');
const evalData = join(golden, 'train/eval.jsonl');
const common = [
  'train',
  '--model',
  model,
  '--data',
  data,
  '--r',
  '2',
  '--batch-size',
  '4',
  '--device',
  'cpu',
  '--json',
];

test('Ctrl-C, then --resume alone: the run goes on, and the result says from where', async () => {
  using place = scratch();
  const [whole, output] = [join(place.path, 'whole'), join(place.path, 'run')];
  const argv = [...common, '--epochs', '1.5', '--eval-data', evalData, '--eval-every', '3', '--save-every', '4'];
  const undisturbed = await runCli([...argv, '--output', whole]);
  const result = undisturbed.json<FineTuneResult>().at(-1);
  // 22 rows, four a step.
  expect(result).toMatchObject({ steps: 9, resumed_from: null, stopped_by: 'steps' });
  expect(undisturbed.stdout).toContain('{"step":3,"eval_loss":');
  const stopped = await runCli([...argv, '--output', output], {
    interruptWhen: (stdout) => stdout.includes('"step":5,'),
  });
  expect(stopped.code).toBe(130);
  expect(stopped.json<FineTuneResult>().at(-1)).toMatchObject({ stopped_by: 'signal', interrupted: true });
  const rest = await runCli(['train', '--resume', '--output', output, '--device', 'cpu', '--json']);
  const { steps } = stopped.json<FineTuneResult>().at(-1) ?? {};
  expect(rest.stderr).toContain(`going on with the run in ${output} after step ${steps} (checkpoint-${steps}`);
  expect(rest.json<FineTuneResult>().at(-1)).toMatchObject({
    steps: 9,
    resumed_from: steps,
    final_loss: result?.final_loss,
    eval_loss: result?.eval_loss,
    best_step: result?.best_step,
  });
  const weights = 'adapter_model.safetensors';
  expect(readFileSync(join(output, weights)).equals(readFileSync(join(whole, weights)))).toBe(true);
});

test('the same command goes on by itself, and words the differences in flags', async () => {
  using place = scratch();
  const output = join(place.path, 'run');
  const argv = [...common, '--steps', '6', '--output', output];
  await runCli(argv, { interruptWhen: (stdout) => stdout.includes('"step":2,') });
  const changed = await runCli([...argv, '--learning-rate', '0.5']);
  expect(changed.code).toBe(2);
  expect(changed.stderr).toMatch(
    /--learning-rate of a run that goes on: expected 0.0002, as it began, got 0.5. Leave .* out.*--overwrite/,
  );
  const rest = await runCli(argv);
  expect(rest.code).toBe(0);
  expect(rest.stderr).toContain('going on with the run');
  const finished = await runCli(argv);
  expect(finished).toMatchObject({ code: 2, stderr: expect.stringContaining('--overwrite') as string });
  const none = await runCli(['train', '--resume', '--output', join(place.path, 'none'), ...common.slice(1)]);
  expect(none.stderr).toMatch(/--resume with the folder .*none: expected a run that can go on/);
  expect(existsSync(join(place.path, 'none'))).toBe(false);
});

test.each([
  [['--early-stopping', '2', '--eval-data', evalData], /--early-stopping: expected --eval-every with it/],
  [['--eval-every', '2'], /--eval-every 2: expected rows to evaluate \(--eval-data or --validation\) with it/],
  [['--resume', '--overwrite'], /--resume with --overwrite: expected one of the two/],
  [['--steps', '3', '--epochs', '2'], /--epochs with --steps: expected one of the two/],
])('train %j is refused', async (flags, words) => {
  using place = scratch();
  const { code, stderr } = await runCli([...common, '--output', join(place.path, 'run'), ...flags]);
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(words) as string });
  expect(readdirSync(place.path)).toEqual([]);
});

test('runs lists what is below a folder, and what differs', async () => {
  using place = scratch();
  for (const [name, rate] of [
    ['slow', '1e-4'],
    ['fast', '1e-2'],
  ] as const)
    await runCli([...common, '--steps', '2', '--learning-rate', rate, '--output', join(place.path, 'all', name)]);
  const record = join(place.path, 'all/fast/run.json');
  writeFileSync(record, JSON.stringify({ ...readJson<object>(record), status: 'running', steps: 5 }));
  const { stdout } = await runCli(['runs', place.path]);
  const [head, fast, slow] = stdout.trimEnd().split('\n');
  expect(head).toMatch(/^run +status +steps +loss +eval loss +lowest +time +learning_rate$/);
  expect(fast).toMatch(/all\/fast +interrupted +2\/5 +\d\.\d{4} +- +- +\d+ s +0\.01$/);
  expect(slow).toMatch(/all\/slow +finished +2\/2 .* 0\.0001$/);
  const [told] = (await runCli(['runs', place.path, '--json'])).json<{ runs: ListedRun[] }>();
  expect(told?.runs.map(({ differs }) => differs)).toEqual([{ learningRate: 0.01 }, { learningRate: 0.0001 }]);
  // Folders by name, one of them twice.
  const named = ['slow', 'fast', 'slow'].map((name) => join(place.path, 'all', name));
  const [chosen] = (await runCli(['runs', ...named, '--json'])).json<{ runs: ListedRun[] }>();
  expect(chosen?.runs.map(({ folder, differs }) => [folder, differs])).toEqual([
    [named[0], { learningRate: 0.0001 }],
    [named[1], { learningRate: 0.01 }],
  ]);
  expect((await runCli(['runs', place.path, join(place.path, 'none')])).stderr).toMatch(/none: expected a folder with/);
  rmSync(join(place.path, 'all/slow/metrics.jsonl'));
  const reports = ['fast', 'slow'].map((name) => join(place.path, 'all', name, 'report.html'));
  expect((await runCli(['runs', place.path, '--report'])).stderr).toContain(reports.join('\n'));
  const [killed, without] = reports.map((path) => readFileSync(path, 'utf8'));
  expect(killed).toContain('<b class="interrupted">interrupted</b> at step 2 of 5');
  expect(without).toContain('No step is recorded yet.');
  rmSync(join(place.path, 'all'), { recursive: true });
  expect((await runCli(['runs', place.path])).stderr).toMatch(/expected a folder with runs/);
});
