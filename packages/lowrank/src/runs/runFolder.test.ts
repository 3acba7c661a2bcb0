import { copyFileSync, existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createCpuBackend } from '@lowrank/cpu';
import type { Backend } from '@lowrank/tensor';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FineTuneResult } from '../jobs/fineTune.js';
import type { FineTuneEvent, FineTuneFolderOptions } from '../jobs/fineTuneOptions.js';
import { fineTuneFolder } from '../jobs/fineTune.js';
import { golden, readJson, readLines, scratch } from '../testing.js';
import type { RunRecord } from './runRecord.js';

let backend: Backend;
beforeAll(async () => void (backend = await createCpuBackend()));
afterAll(() => backend.dispose());

const model = join(golden, 'tied');
const data = join(golden, 'train/rows.jsonl');
const evalData = join(golden, 'train/eval.jsonl');

type Part = Partial<FineTuneFolderOptions> & { readonly output: string };

/** Everything that has to be restored is on: dropout, shuffling, packing, accumulation. */
const settings = {
  r: 2,
  dropout: 0.2,
  batchSize: 2,
  gradientAccumulation: 2,
  learningRate: 5e-3,
  schedule: 'cosine',
  warmup: 2,
} as const;

function run(part: Part): Promise<FineTuneResult> {
  return fineTuneFolder({ backend, model, data, ...settings, ...part });
}

/** Stops after a step, as a signal does. */
async function stopAfter(step: number, part: Part): Promise<FineTuneResult> {
  const controller = new AbortController();
  const onEvent = (event: FineTuneEvent): void => {
    if (event.type === 'step' && event.step === step) controller.abort();
  };
  return run({ ...part, signal: controller.signal, onEvent });
}

const recordOf = (output: string): RunRecord => readJson(join(output, 'run.json'));
const weightsOf = (folder: string): Buffer => readFileSync(join(folder, 'adapter_model.safetensors'));

interface Line {
  readonly step: number;
  readonly loss?: number;
  readonly eval_loss?: number;
}

/** What of the metrics no clock decides. */
const metricsOf = (output: string): unknown[] =>
  readLines<Line>(join(output, 'metrics.jsonl')).map(({ step, loss, eval_loss: evaluation }) => [
    step,
    loss,
    evaluation,
  ]);

/** Without event files: there is one for each time that the run was begun. */
const namesIn = (folder: string): string[] =>
  readdirSync(folder).filter((name) => !name.startsWith('events.out.tfevents.'));

test('a stopped run goes on by itself: adapter, metrics and result are those of an undisturbed one', async () => {
  using place = scratch();
  const [whole, output] = [join(place.path, 'whole'), join(place.path, 'parted')];
  const part = { steps: 8, saveEvery: 3, evaluateEvery: 2, evalData, optimizer: 'adamw8bit' } as const;
  const undisturbed = await run({ ...part, output: whole });
  expect(undisturbed).toMatchObject({ resumed_from: null, stopped_by: 'steps', interrupted: false });
  const stopped = await stopAfter(4, { ...part, output });
  expect(stopped).toMatchObject({ stopped_by: 'signal', interrupted: true, eval_loss: null });
  expect(recordOf(output)).toMatchObject({ status: 'stopped', step: stopped.steps, steps: 8 });
  const checkpoint = join(output, `checkpoint-${stopped.steps}`, 'trainer_state.json');
  const { seconds: savedAt } = readJson<{ lowrank: { seconds: number } }>(checkpoint).lowrank;
  const events: FineTuneEvent[] = [];
  const rest = await run({ output, onEvent: (event) => void events.push(event) });
  expect(events.find(({ type }) => type === 'resumed')).toEqual({
    type: 'resumed',
    folder: output,
    step: stopped.steps,
  });
  const { seconds, resumed_from: from, adapter, best_checkpoint: best, ...numbers } = rest;
  // The result's own seconds include the saving of its checkpoint, which on a busy machine takes longer than steps.
  expect({ from, seconds: seconds > savedAt }).toEqual({ from: stopped.steps, seconds: true });
  expect(undisturbed).toMatchObject(numbers);
  expect(weightsOf(adapter ?? '')).toEqual(weightsOf(whole));
  expect(metricsOf(output)).toEqual(metricsOf(whole));
  expect(namesIn(output).sort()).toEqual(
    [...namesIn(whole), `checkpoint-${stopped.steps}`].filter((name, at, all) => all.indexOf(name) === at).sort(),
  );
  expect(best).toBe(join(output, `checkpoint-${rest.best_step}`));
  expect(recordOf(output)).toMatchObject({
    status: 'finished',
    step: 8,
    stopped_by: 'steps',
    eval_loss: rest.eval_loss,
    best: { step: rest.best_step, checkpoint: `checkpoint-${rest.best_step}` },
    settings: { r: 2, schedule: 'cosine', weightDecay: 0, saveEvery: 3 },
  });
});

test('a checkpoint is an adapter of exactly its step, with its state beside it', async () => {
  using place = scratch();
  const output = join(place.path, 'run');
  await run({ output, steps: 5, schedule: 'constant', saveEvery: 2 });
  expect(readdirSync(output).filter((name) => name.startsWith('checkpoint-'))).toEqual([
    'checkpoint-2',
    'checkpoint-4',
    'checkpoint-5',
  ]);
  expect(readdirSync(join(output, 'checkpoint-4')).sort()).toEqual([
    'README.md',
    'adapter_config.json',
    'adapter_model.safetensors',
    'optimizer.safetensors',
    'trainer_state.json',
  ]);
  await run({ output: join(place.path, 'four'), steps: 4, schedule: 'constant' });
  expect(weightsOf(join(output, 'checkpoint-4'))).toEqual(weightsOf(join(place.path, 'four')));
  expect(weightsOf(join(output, 'checkpoint-5'))).toEqual(weightsOf(output));
});

test('the last checkpoints stay, and the best', async () => {
  using place = scratch();
  const output = join(place.path, 'run');
  // A rate that overshoots: the first evaluations are the best.
  const part = { steps: 12, learningRate: 0.5, schedule: 'constant', warmup: 0, evaluateEvery: 1, evalData } as const;
  const result = await run({ ...part, output, saveEvery: 1, keepLast: 2 });
  expect(result.best_step).toBeLessThan(11);
  expect(
    readdirSync(output)
      .filter((name) => name.startsWith('checkpoint-'))
      .sort(),
  ).toEqual([`checkpoint-${result.best_step}`, 'checkpoint-11', 'checkpoint-12'].sort());
  expect(result.best_checkpoint).toBe(join(output, `checkpoint-${result.best_step}`));
  const early = join(place.path, 'early');
  const stopped = await run({ ...part, output: early, earlyStopping: 2, loadBestModelAtEnd: true });
  expect(stopped).toMatchObject({ stopped_by: 'early-stopping', steps: (stopped.best_step ?? 0) + 2 });
  expect(weightsOf(early)).toEqual(weightsOf(join(early, `checkpoint-${stopped.best_step}`)));
  const best = readLines<Line>(join(early, 'metrics.jsonl')).find(
    ({ step, eval_loss: loss }) => step === stopped.best_step && loss !== undefined,
  );
  expect(stopped.eval_loss).toBe(best?.eval_loss);
});

test('a run with another setting, other data or another model is refused, and the difference named', async () => {
  using place = scratch();
  const [output, rows] = [join(place.path, 'run'), join(place.path, 'rows.jsonl')];
  copyFileSync(data, rows);
  const part = { output, data: rows, steps: 6, saveEvery: 2 };
  await stopAfter(4, part);
  const before = readdirSync(output);
  const refused = async (other: Part): Promise<string> => {
    const error: unknown = await run(other).catch((thrown: unknown) => thrown);
    return error instanceof Error ? error.message : 'not refused';
  };
  expect(await refused({ ...part, learningRate: 1e-4 })).toMatch(/learningRate .*expected 0.005, .*got 0.0001/);
  expect(await refused({ ...part, r: 4 })).toMatch(/^r of a run .*expected 2, as it began, got 4/);
  expect(await refused({ ...part, shuffle: false })).toMatch(/^shuffle .*expected true/);
  expect(await refused({ ...part, method: 'ia3', r: undefined, dropout: undefined })).toMatch(
    /^method .*expected lora, as it began, got ia3/,
  );
  expect(await refused({ ...part, steps: 9 })).toMatch(/^steps '9' with schedule 'cosine': expected 6/);
  expect(await refused({ ...part, model: join(golden, 'untied') })).toMatch(/^model .*SHA-256/);
  writeFileSync(rows, `${readFileSync(rows, 'utf8')}{"text": "one more"}\n`);
  expect(await refused(part)).toMatch(/^data .*rows\.jsonl: expected what the run began with: 2000 bytes/);
  renameSync(rows, `${rows}.away`);
  expect(await refused(part)).toMatch(/^data .*got no such file\. Put the file back/);
  expect(readdirSync(output)).toEqual(before);
  // The same rows at another place are the same.
  copyFileSync(data, `${rows}.away`);
  expect(await run({ ...part, data: `${rows}.away` })).toMatchObject({ steps: 6 });
});

test('what changes nothing of what was done may change: more steps of a constant rate, other savings', async () => {
  using place = scratch();
  const output = join(place.path, 'run');
  const part = { output, schedule: 'constant', warmup: 1, saveEvery: 2 } as const;
  await run({ ...part, steps: 3 });
  await expect(run({ ...part, steps: 5 })).rejects.toMatchObject({ code: 'output.taken' });
  const more = await run({ ...part, resume: true, steps: 5, keepLast: 1 });
  expect(more).toMatchObject({ steps: 5, resumed_from: 3 });
  const whole = join(place.path, 'whole');
  await run({ ...part, output: whole, steps: 5 });
  expect(weightsOf(output)).toEqual(weightsOf(whole));
  expect(metricsOf(output)).toEqual(metricsOf(whole));
});

test('--resume without a run is refused; an unfinished one without a checkpoint begins anew', async () => {
  using place = scratch();
  const output = join(place.path, 'run');
  await expect(run({ output, resume: true })).rejects.toMatchObject({ code: 'run.nothingToResume' });
  expect(existsSync(output)).toBe(false);
  await run({ output, steps: 2 });
  await expect(run({ output, resume: true, steps: 4 })).rejects.toMatchObject({ code: 'run.nothingToResume' });
  writeFileSync(join(output, 'run.json'), JSON.stringify({ ...recordOf(output), status: 'running' }));
  const events: FineTuneEvent[] = [];
  const again = await run({ output, onEvent: (event) => void events.push(event) });
  expect(again).toMatchObject({ steps: 2, resumed_from: null });
  expect(events).toContainEqual({ type: 'resumed', folder: output, step: undefined });
  writeFileSync(join(output, 'run.json'), '{"version": 7}');
  await expect(run({ output, steps: 2 })).rejects.toMatchObject({ code: 'run.record' });
  expect(await run({ output, steps: 2, overwrite: true })).toMatchObject({ steps: 2 });
});

test('a rate that explodes leaves what was saved before it, and else nothing', async () => {
  using place = scratch();
  const output = join(place.path, 'run');
  const part = { steps: 20, learningRate: 3e38, clip: 0, schedule: 'constant', warmup: 2 } as const;
  await expect(run({ ...part, output })).rejects.toMatchObject({ code: 'trainer.nonFinite' });
  expect(existsSync(output)).toBe(false);
  await expect(run({ ...part, output, saveEvery: 1 })).rejects.toMatchObject({ code: 'trainer.nonFinite' });
  expect(recordOf(output)).toMatchObject({ status: 'failed', error: expect.stringMatching(/^step \d+: /) as string });
  const names = readdirSync(output).map((name) => name.replace(/tfevents.*/, 'tfevents'));
  expect(names.sort()).toEqual(['checkpoint-1', 'events.out.tfevents', 'metrics.jsonl', 'report.html', 'run.json']);
});

test('empty data and rows without a token to learn are refused before anything is written', async () => {
  using place = scratch();
  const [output, rows] = [join(place.path, 'run'), join(place.path, 'rows.jsonl')];
  writeFileSync(rows, '');
  await expect(run({ output, data: rows, steps: 2 })).rejects.toMatchObject({
    code: expect.stringMatching(/^data\./) as string,
  });
  writeFileSync(rows, '{"prompt": "only a prompt", "completion": ""}\n');
  await expect(run({ output, data: rows, steps: 2, maxLength: 3 })).rejects.toMatchObject({ code: 'data.noLabels' });
  expect(existsSync(output)).toBe(false);
});

test('a checkpoint that cannot be written costs a warning; the run goes on and is saved', async () => {
  using place = scratch();
  const output = join(place.path, 'run');
  const warnings: string[] = [];
  const onEvent = (event: FineTuneEvent): void => {
    // Something is in its way.
    if (event.type === 'step' && event.step === 1) writeFileSync(join(output, 'checkpoint-2'), '');
    if (event.type === 'warning') warnings.push(event.text);
  };
  expect(await run({ output, steps: 4, saveEvery: 2, onEvent })).toMatchObject({ steps: 4, stopped_by: 'steps' });
  expect(warnings).toEqual([expect.stringMatching(/^the checkpoint of step 2 cannot be written \(/)]);
  expect(existsSync(join(output, 'checkpoint-4', 'trainer_state.json'))).toBe(true);
  expect(recordOf(output)).toMatchObject({ status: 'finished', step: 4 });
});
