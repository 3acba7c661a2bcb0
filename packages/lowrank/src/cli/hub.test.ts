import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { hubServer, repo } from '../../../../tests/helpers/hubServer.js';
import type { EvaluateFolderResult } from '../jobs/evaluate.js';
import { golden, readJson, runCli, scratch } from '../testing.js';
import { transferLine, transferReporter } from './progress.js';
import { Speaker } from './io.js';

const data = join(golden, 'train/eval.jsonl');
const files = Object.fromEntries(
  ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors'].map((name) => [
    name,
    new Uint8Array(readFileSync(join(golden, 'tied', name))),
  ]),
);

test('--model takes a hub id, a revision and a URL; an adapter of the hub too', async () => {
  using home = scratch();
  await using hub = await hubServer(files);
  vi.stubEnv('HF_HOME', home.path);
  vi.stubEnv('HF_ENDPOINT', hub.url);
  const losses: (number | undefined)[] = [];
  for (const model of [join(golden, 'tied'), repo, `${repo}@main`, `${hub.url}/plain`]) {
    const outcome = await runCli(['eval', '--model', model, '--data', data, '--device', 'cpu', '--json']);
    losses.push(outcome.json<EvaluateFolderResult>().at(-1)?.loss);
  }
  expect(losses[0]).toBeGreaterThan(0);
  expect(new Set(losses).size).toBe(1);

  const output = join(home.path, 'adapter');
  const trained = await runCli([
    'train',
    '--model',
    repo,
    '--data',
    data,
    '--output',
    output,
    '--steps',
    '1',
    '--device',
    'cpu',
  ]);
  expect(trained.code).toBe(0);
  expect(
    readJson<{ base_model_name_or_path: string }>(join(output, 'adapter_config.json')).base_model_name_or_path,
  ).toBe(repo);

  for (const name of ['adapter_config.json', 'adapter_model.safetensors'])
    hub.files.set(name, new Uint8Array(readFileSync(join(golden, 'adapters/tied-qv', name))));
  const merged = await runCli([
    'merge',
    '--model',
    repo,
    '--adapter',
    repo,
    '--output',
    join(home.path, 'merged'),
    '--json',
  ]);
  expect(merged.json<{ merged: number }>()[0]?.merged).toBe(4);

  hub.refuse = { status: 403, headers: { 'X-Error-Code': 'GatedRepo' } };
  const gated = await runCli(['eval', '--model', repo, '--data', data, '--device', 'cpu', '--json']);
  expect(gated.code).toBe(2);
  expect(gated.json<{ error: { code: string } }>().at(-1)?.error.code).toBe('models.gated');
  vi.unstubAllEnvs();
});

test('user and password of a URL are in no output and no file', async () => {
  using home = scratch();
  await using hub = await hubServer(files);
  vi.stubEnv('HF_HOME', home.path);
  const model = `${hub.url.replace('//', '//me:s3cret@')}/plain?sig=s3cret`;
  const output = join(home.path, 'out');
  const shared = ['--model', model, '--data', data, '--steps', '1', '--device', 'cpu', '--json'];
  const trained = await runCli(['train', ...shared, '--output', join(output, 'adapter')]);
  expect(trained.code).toBe(0);
  expect([...hub.tokens]).toEqual([`Basic ${btoa('me:s3cret')}`]);
  const swept = await runCli([
    'sweep',
    ...shared,
    '--r',
    '1',
    '--learning-rate',
    '0.01',
    '--test-data',
    data,
    '--output',
    join(output, 'sweep'),
  ]);
  expect(swept.code).toBe(0);
  hub.refuse = { status: 401, headers: {} };
  const failed = await runCli(['eval', '--model', model, '--data', data, '--device', 'cpu', '--json']);
  expect(failed.code).toBe(2);
  for (const { stdout, stderr } of [trained, swept, failed]) expect(stdout + stderr).not.toContain('s3cret');
  for (const name of readdirSync(home.path, { recursive: true }).map(String)) {
    expect(name).not.toContain('s3cret');
    const path = join(home.path, name);
    if (statSync(path).isFile()) expect([name, readFileSync(path, 'utf8').includes('s3cret')]).toEqual([name, false]);
  }
  vi.unstubAllEnvs();
});

test('transfers are told with bytes, rate and time left', () => {
  const event = {
    stage: 'downloading' as const,
    item: 'model.safetensors',
    bytes: 1.2e9,
    totalBytes: 2.4e9,
    bytesPerSecond: 84e6,
    secondsLeft: 14.3,
  };
  expect(transferLine(event)).toBe('downloading model.safetensors: 1.20 of 2.40 GB (50%), 84.0 MB/s, 14 s left');
  expect(transferLine({ ...event, bytes: 3e5, totalBytes: 3e5, secondsLeft: 0, stage: 'loading' })).toBe(
    'loading model.safetensors: 0.3 of 0.3 MB (100%), 84.0 MB/s',
  );
});

test('on a terminal a transfer is one line, and one that is over at once is no line', () => {
  vi.useFakeTimers();
  let shown = '';
  const io = {
    stdout: () => undefined,
    stderr: (text: string) => void (shown += text),
    isTTY: true,
    onInterrupt: () => () => undefined,
  };
  const event = { stage: 'loading' as const, item: 'w', bytesPerSecond: 1e6, secondsLeft: 1, totalBytes: 3e6 };
  transferReporter(new Speaker(io, false))({ ...event, bytes: 3e6 });
  expect(shown).toBe('');
  const report = transferReporter(new Speaker(io, false));
  vi.advanceTimersByTime(1500);
  report({ ...event, bytes: 1e6 });
  report({ ...event, bytes: 2e6 });
  report({ ...event, bytes: 3e6 });
  expect(shown.split('\r\u001b[K').length).toBe(3);
  expect(shown.endsWith('\n')).toBe(true);
  vi.useRealTimers();
});
