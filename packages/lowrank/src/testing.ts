import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Backend } from '@lowrank/tensor';
import type { Execution } from '@lowrank/trainer';
import { expect } from 'vitest';
import { main } from './cli/main.js';
import { fineTuneFolder } from './jobs/fineTune.js';
import type { FineTuneResult } from './jobs/fineTune.js';
import type { Metrics } from './metricsFile.js';

/** Goldens made by transformers and PEFT: parity/README.md says which is which. */
export const golden = fileURLToPath(new URL('../../../parity/golden/llama', import.meta.url));

export function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(path, 'utf8')) as T;
}

export function readLines<T>(path: string): T[] {
  return readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
}

export interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
  /** stdout's lines, parsed. */
  readonly json: <T>() => T[];
}

export interface RunOptions {
  /** Sees all of stdout so far, at each piece of it; true is a Ctrl-C. */
  readonly interruptWhen?: (stdout: string) => boolean;
  /** Lines of the input. */
  readonly input?: readonly string[];
}

/** Runs a command line within this process. */
export async function runCli(argv: readonly string[], { interruptWhen, input }: RunOptions = {}): Promise<Outcome> {
  const outcome = { stdout: '', stderr: '' };
  const listeners = new Set<() => void>();
  const code = await main(argv, {
    stdout(text) {
      outcome.stdout += text;
      if (interruptWhen?.(outcome.stdout) === true) listeners.forEach((listener) => listener());
    },
    stderr: (text) => void (outcome.stderr += text),
    isTTY: false,
    ...(input === undefined ? {} : { lines: () => piped(input) }),
    onInterrupt(callback, notice = '') {
      const listener = (): void => {
        outcome.stderr += notice;
        callback();
      };
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  });
  return {
    code,
    ...outcome,
    json: <T>() =>
      outcome.stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as T),
  };
}

async function* piped(lines: readonly string[]): AsyncGenerator<string, void, undefined> {
  yield* lines;
}

/** A folder that is removed after the test. */
export function scratch(): { path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), 'lowrank-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** A copy of a golden folder that a test may spoil. */
export function copyOf(name: string, to: string): string {
  cpSync(join(golden, name), to, { recursive: true });
  return to;
}

/** lora.json and full.json. */
export interface Trajectory {
  recipe: { learningRate: number; weightDecay: number };
  losses: number[];
  gradNorms: number[];
  learningRates: number[];
  before: { loss: number; tokens: number; rows: number };
  after: { eval: { loss: number; tokens: number; rows: number }; text: { loss: number; tokens: number; rows: number } };
  greedyAfter: { prompt: string; ids: number[] }[];
}

/** Each value within a relative tolerance of what is expected. */
export function expectClose(values: readonly number[], expected: readonly number[], tolerance: number): void {
  expect(values.length).toBe(expected.length);
  values.forEach((value, at) =>
    expect(Math.abs(value - (expected[at] ?? NaN)) / Math.max(1e-6, Math.abs(expected[at] ?? NaN))).toBeLessThan(
      tolerance,
    ),
  );
}

export interface GoldenRun {
  method: 'lora' | 'full';
  output: string;
  device?: 'cpu' | 'webgpu';
  flags?: readonly string[];
}

const recipe = [
  '--steps',
  '12',
  '--batch-size',
  '4',
  '--schedule',
  'linear',
  '--warmup',
  '3',
  '--clip',
  '1',
  '--no-shuffle',
  '--json',
];

/** `lowrank train` with the recipe of a golden trajectory. */
export async function trainGolden({
  method,
  output,
  device = 'cpu',
  flags = [],
}: GoldenRun): Promise<{ result: FineTuneResult; metrics: Metrics[]; expected: Trajectory }> {
  const expected = readJson<Trajectory>(join(golden, 'train', `${method}.json`));
  const { learningRate, weightDecay } = expected.recipe;
  const from = method === 'lora' ? ['--init-adapter', join(golden, 'train/lora/init')] : [];
  const [model, data, evalData] = ['tied', 'train/rows.jsonl', 'train/eval.jsonl'].map((name) =>
    join(golden, name),
  ) as [string, string, string];
  const argv = [
    'train',
    '--model',
    model,
    '--data',
    data,
    '--eval-data',
    evalData,
    '--output',
    output,
    '--method',
    method,
    '--device',
    device,
    ...from,
    ...recipe,
    ...flags,
  ];
  const outcome = await runCli([
    ...argv,
    '--learning-rate',
    String(learningRate),
    '--weight-decay',
    String(weightDecay),
  ]);
  if (outcome.code !== 0) throw new Error(outcome.stderr);
  const lines = outcome.json<Metrics>();
  const result = lines.pop() as unknown as FineTuneResult;
  const metrics = readLines<Metrics>(join(output, 'metrics.jsonl'));
  expect(lines).toEqual(metrics);
  return { result, metrics, expected };
}

export interface GoldenFineTune {
  backend: Backend;
  execution: Execution;
  checkpointing?: boolean;
  output: string;
  /** Ends soon after this many steps; the schedule is that of the whole run. */
  steps?: number;
}

/** The golden LoRA trajectory by `fineTuneFolder`, as far as it is wanted. */
export async function goldenFineTune({
  backend,
  execution,
  checkpointing,
  output,
  steps = 12,
}: GoldenFineTune): Promise<{ metrics: Metrics[]; expected: Trajectory }> {
  const expected = readJson<Trajectory>(join(golden, 'train/lora.json'));
  const { learningRate, weightDecay } = expected.recipe;
  const controller = new AbortController();
  await fineTuneFolder({
    backend,
    execution,
    checkpointing,
    output,
    model: join(golden, 'tied'),
    data: join(golden, 'train/rows.jsonl'),
    initAdapter: join(golden, 'train/lora/init'),
    steps: 12,
    batchSize: 4,
    learningRate,
    weightDecay,
    schedule: 'linear',
    warmup: 3,
    clip: 1,
    shuffle: false,
    signal: controller.signal,
    onEvent(event) {
      if (event.type === 'step' && event.step >= steps && steps < 12) controller.abort();
    },
  });
  return { metrics: readLines<Metrics>(join(output, 'metrics.jsonl')), expected };
}
