import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createCpuBackend } from '@lowrank/cpu';
import { LowrankError } from '@lowrank/errors';
import type { Backend } from '@lowrank/tensor';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { golden, readJson, readLines, scratch } from '../testing.js';
import type { BegunRun } from '../runs/beginRun.js';
import type { RunRecord } from '../runs/runRecord.js';
import { fineTuneFolder } from './fineTune.js';
import type { FineTuneResult } from './fineTune.js';
import type { FineTuneEvent, FineTuneFolderOptions } from './fineTuneOptions.js';
import { lostItsDevice, mostLostDevices, onAnotherDevice } from './lostDevice.js';

let cpu: Backend;
beforeAll(async () => void (cpu = await createCpuBackend()));
afterAll(() => cpu.dispose());

type Part = Partial<FineTuneFolderOptions> & { readonly output: string };

const model = join(golden, 'tied');
const data = join(golden, 'train/rows.jsonl');
const settings = { r: 2, dropout: 0.2, batchSize: 2, steps: 8, learningRate: 5e-3 } as const;
const gone = new LowrankError({ code: 'webgpu.device-lost', what: 'the WebGPU device was lost' });

interface Ran {
  readonly opened: number;
  /** The steps that were gone on from. */
  readonly from: readonly (number | undefined)[];
  readonly result: FineTuneResult | undefined;
  readonly error: unknown;
}

/** The device of a run is lost at each of these steps, one after another. */
async function run(part: Part, lostAt: readonly number[] = []): Promise<Ran> {
  const left = [...lostAt];
  const from: (number | undefined)[] = [];
  let opened = 0;
  const backend = (): Promise<Backend> => (opened++, Promise.resolve(cpu));
  const onEvent = (event: FineTuneEvent): void => {
    if (event.type === 'deviceLost') from.push(event.step);
    if (event.type !== 'step' || event.step !== left[0]) return;
    left.shift();
    throw gone;
  };
  const ended = await fineTuneFolder({ backend, model, data, ...settings, onEvent, ...part }).then(
    (result) => ({ result, error: undefined }),
    (error: unknown) => ({ result: undefined, error }),
  );
  return { opened, from, ...ended };
}

const weightsOf = (folder: string): Buffer => readFileSync(join(folder, 'adapter_model.safetensors'));

test('a run whose device is lost goes on from its last checkpoint, or from its beginning', async () => {
  using place = scratch();
  const [whole, output] = [join(place.path, 'whole'), join(place.path, 'lost')];
  expect(await run({ output: whole })).toMatchObject({ opened: 1, from: [], error: undefined });
  const twice = await run({ output, saveEvery: 2 }, [1, 5]);
  expect(twice).toMatchObject({ opened: 3, from: [undefined, 4], result: { steps: 8, resumed_from: 4 } });
  expect(weightsOf(output)).toEqual(weightsOf(whole));
  expect(readJson<RunRecord>(join(output, 'run.json'))).toMatchObject({ status: 'finished', error: null, step: 8 });
  // In the place of that run: it is overwritten once.
  const over = await run({ output, saveEvery: 3, overwrite: true, seed: 1 }, [1, 4]);
  expect(over).toMatchObject({ opened: 3, from: [undefined, 3], result: { steps: 8, resumed_from: 3 } });
  expect(weightsOf(output)).not.toEqual(weightsOf(whole));
  await run({ output: whole, overwrite: true, seed: 1 });
  expect(weightsOf(output)).toEqual(weightsOf(whole));
});

test('a run without a checkpoint goes on from its last snapshot in memory, and from the newer of the two', async () => {
  using place = scratch();
  const [whole, output] = [join(place.path, 'whole'), join(place.path, 'lost')];
  await run({ output: whole, seed: 5 });
  // With nothing on the disk, then with an older and a newer checkpoint.
  const held = await run({ output, seed: 5, snapshotEvery: 3 }, [5, 7]);
  expect(held).toMatchObject({ opened: 3, from: [3, 6], result: { steps: 8, resumed_from: 6 }, error: undefined });
  expect(weightsOf(output)).toEqual(weightsOf(whole));
  const lines = readLines<{ step: number }>(join(output, 'metrics.jsonl'));
  expect(lines.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  const both = { output, seed: 5, overwrite: true, snapshotEvery: 3, saveEvery: 4 };
  expect(await run(both, [5, 7])).toMatchObject({ from: [4, 6] });
  expect(weightsOf(output)).toEqual(weightsOf(whole));
  // What is only in memory is gone with the run, and nothing of it stays in the folder.
  const ended = await run({ output: join(place.path, 'ended'), snapshotEvery: 1, backend: cpu }, [4]);
  expect(ended).toMatchObject({ from: [], error: gone });
  expect(existsSync(join(place.path, 'ended'))).toBe(false);
});

test('a run that loses device after device ends with the error; resumed, it may lose one again', async () => {
  using place = scratch();
  const [whole, output] = [join(place.path, 'whole'), join(place.path, 'lost')];
  await run({ output: whole, seed: 3 });
  const first = await run({ output, seed: 3, saveEvery: 2 }, [3, 3, 3, 3]);
  expect(first).toMatchObject({ opened: mostLostDevices + 1, from: [2, 2, 2], error: gone });
  expect(readJson<RunRecord>(join(output, 'run.json'))).toMatchObject({ status: 'failed' });
  // `--resume` alone, and its device is lost before a checkpoint of its own.
  const rest = await run({ output, resume: true, steps: undefined, saveEvery: 5 }, [3]);
  expect(rest).toMatchObject({ opened: 2, from: [2], result: { steps: 8, resumed_from: 2 } });
  expect(weightsOf(output)).toEqual(weightsOf(whole));
});

test('without another device, without rows to read again, or when it is to stop, the error stays', async () => {
  using place = scratch();
  const output = join(place.path, 'run');
  expect(await run({ output, backend: cpu }, [3])).toMatchObject({ from: [], error: gone });
  const signal = AbortSignal.abort();
  expect(await run({ output, signal, backend: () => Promise.reject(gone) })).toMatchObject({ from: [], error: gone });
  const folder = { lastCheckpoint: () => Promise.resolve(2), hasBegun: true };
  const given = { backend: () => Promise.resolve(cpu), model, output, data };
  const begun = (part: object): BegunRun<FineTuneFolderOptions> =>
    ({ given: { ...given, ...part }, folder }) as unknown as BegunRun<FineTuneFolderOptions>;
  const lost = { lost: 1, error: gone };
  const going = { ...given, overwrite: undefined, resume: true };
  expect(await onAnotherDevice(begun({}), lost)).toEqual({ options: going, state: undefined, step: 2 });
  for (const part of [{ data: '-' }, { evalData: '-' }, { signal }, { backend: cpu }])
    expect(await onAnotherDevice(begun(part), lost)).toBeUndefined();
  const late = (event: FineTuneEvent): void => {
    if (event.type === 'saved') throw gone;
  };
  expect(await run({ output, steps: 1, onEvent: late })).toMatchObject({ opened: 1, error: gone });
  expect(weightsOf(output).length).toBeGreaterThan(0);
  const other = await run({ output, overwrite: true, backend: () => Promise.reject(new Error('another')) });
  expect(other).toMatchObject({ from: [], error: { message: 'another' } });
  expect(await lostItsDevice(new Error('unknown'), undefined)).toBe(false);
  expect(await lostItsDevice(new Error('unknown'), cpu)).toBe(false);
  // What the driver says of work on a device that is no more is about the work.
  expect(await lostItsDevice(new Error('unknown'), { ...cpu, finish: () => Promise.reject(gone) })).toBe(true);
});
