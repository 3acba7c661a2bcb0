import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createCpuBackend } from '@lowrank/cpu';
import { LowrankError } from '@lowrank/errors';
import type { Backend } from '@lowrank/tensor';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RunRecord } from '../runs/runRecord.js';
import { expectClose, golden, readJson, readLines, scratch } from '../testing.js';
import { fineTuneFolder } from './fineTune.js';
import type { FineTuneResult } from './fineTune.js';
import type { FineTuneEvent, FineTuneFolderOptions } from './fineTuneOptions.js';
import { smallerBatches } from './smallerBatches.js';

let cpu: Backend;
beforeAll(async () => void (cpu = await createCpuBackend()));
afterAll(() => cpu.dispose());

const model = join(golden, 'tied');
const data = join(golden, 'train/rows.jsonl');

type Part = Partial<FineTuneFolderOptions> & { readonly output: string };

/** A device on which no buffer may be larger than this; from the n-th step on, where that is said. */
function limited(bytes: number, isOn: () => boolean = () => true): Backend {
  const { spec } = cpu;
  const allocate: Backend['allocate'] = (size, label) => {
    if (isOn() && size > bytes)
      throw new LowrankError({ code: 'cpu.outOfMemory', what: `memory for ${label}`, got: 'none' });
    return cpu.allocate(size, label);
  };
  return Object.assign(Object.create(cpu) as Backend, { spec, allocate });
}

interface Ran {
  readonly result: FineTuneResult | undefined;
  readonly error: unknown;
  readonly reduced: readonly Extract<FineTuneEvent, { type: 'batchReduced' }>[];
}

async function run({ onEvent, ...part }: Part): Promise<Ran> {
  const reduced: Extract<FineTuneEvent, { type: 'batchReduced' }>[] = [];
  const ended = await fineTuneFolder({
    backend: cpu,
    model,
    data,
    r: 2,
    batchSize: 8,
    steps: 6,
    learningRate: 5e-3,
    samples: 0,
    onEvent: async (event) => {
      if (event.type === 'batchReduced') reduced.push(event);
      await onEvent?.(event);
    },
    ...part,
  }).then(
    (result) => ({ result, error: undefined }),
    (error: unknown) => ({ result: undefined, error }),
  );
  return { ...ended, reduced };
}

const lossesOf = (folder: string): number[] =>
  readLines<{ loss: number }>(join(folder, 'metrics.jsonl')).map(({ loss }) => loss);
const weightsOf = (folder: string): Buffer => readFileSync(join(folder, 'adapter_model.safetensors'));

test('the next smaller micro-batch of the same step', () => {
  expect(smallerBatches({})).toEqual({ batchSize: 4, gradientAccumulation: 2 });
  expect(smallerBatches({ batchSize: 9, gradientAccumulation: 2 })).toEqual({ batchSize: 3, gradientAccumulation: 6 });
  expect(smallerBatches({ batchSize: 7 })).toEqual({ batchSize: 1, gradientAccumulation: 7 });
  expect(smallerBatches({ batchSize: 1, gradientAccumulation: 8 })).toBeUndefined();
});

test('memory that a step does not fit into: half the rows, twice the accumulation, the same losses', async () => {
  using place = scratch();
  const [whole, halves, output] = ['whole', 'halves', 'run'].map((name) => join(place.path, name)) as [
    string,
    string,
    string,
  ];
  await run({ output: whole });
  await run({ output: halves, batchSize: 2, gradientAccumulation: 4 });
  const before = cpu.memory.bytes;
  const { result, reduced } = await run({ output, autoBatch: true, backend: limited(200_000) });
  expect(reduced.map(({ batchSize, gradientAccumulation }) => [batchSize, gradientAccumulation])).toEqual([
    [4, 2],
    [2, 4],
  ]);
  for (const { plannedBytes } of reduced) expect(plannedBytes.now).toBeLessThan(plannedBytes.before ?? 0);
  expect(result?.steps).toBe(6);
  expect(weightsOf(output)).toEqual(weightsOf(halves));
  expectClose(lossesOf(output), lossesOf(whole), 1e-5);
  const record = readJson<RunRecord>(join(output, 'run.json'));
  expect(record.micro_batches).toEqual([{ step: 0, batch_size: 2, gradient_accumulation: 4 }]);
  expect(record.settings).toMatchObject({ batchSize: 8, gradientAccumulation: 1 });
  // What the attempts took is given back, but for the last one's model.
  expect(cpu.memory.bytes - before).toBeLessThan(1_000_000);
});

test('memory that runs out later: on from the last checkpoint or snapshot; a resume keeps the layout', async () => {
  using place = scratch();
  const [whole, output] = [join(place.path, 'whole'), join(place.path, 'run')];
  let step = 0;
  const onEvent = (event: FineTuneEvent): void => {
    if (event.type === 'step') ({ step } = event);
    if (event.type !== 'step' || event.step !== 3 || ended) return;
    ended = true;
    throw new LowrankError({ code: 'webgpu.out-of-memory', what: 'a step', got: 'none' });
  };
  let ended = false;
  const part = { dropout: 0.2, autoBatch: true, saveEvery: 2, onEvent };
  const first = await run({ output: whole, ...part });
  expect(first.reduced).toMatchObject([{ batchSize: 4, gradientAccumulation: 2, step: 2 }]);
  expect(first.result).toMatchObject({ steps: 6, resumed_from: 2 });
  ended = false;
  // Stopped after a checkpoint of the smaller micro-batches, and gone on with.
  await run({ output, ...part, steps: 4 });
  const rest = await run({ output, resume: true, steps: 6 });
  expect(rest.result).toMatchObject({ resumed_from: 4 });
  expect(weightsOf(output)).toEqual(weightsOf(whole));
  expect(readJson<RunRecord>(join(output, 'run.json')).micro_batches).toEqual([
    { step: 2, batch_size: 4, gradient_accumulation: 2 },
  ]);
  ended = false;
  const held = await run({ output: join(place.path, 'held'), ...part, saveEvery: undefined, snapshotEvery: 2 });
  expect(held.reduced).toMatchObject([{ step: 2 }]);
  expect(weightsOf(join(place.path, 'held'))).toEqual(weightsOf(whole));
  expect(step).toBe(6);
});

test('the error stays without --auto-batch, with one row, and KTO is refused', async () => {
  using place = scratch();
  const output = join(place.path, 'run');
  const none = { code: 'cpu.outOfMemory' };
  expect(await run({ output, backend: limited(200_000) })).toMatchObject({ reduced: [], error: none });
  const single = { output, autoBatch: true, batchSize: 2, gradientAccumulation: 2, backend: limited(20_000) };
  const { reduced, error } = await run(single);
  expect(reduced.map(({ batchSize }) => batchSize)).toEqual([1]);
  expect(error).toMatchObject(none);
  expect((await run({ output, autoBatch: true, loss: 'kto' })).error).toMatchObject({ setting: 'autoBatch' });
});
