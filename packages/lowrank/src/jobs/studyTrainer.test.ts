import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createCpuBackend } from '@lowrank/cpu';
import { LowrankError } from '@lowrank/errors';
import type { Backend } from '@lowrank/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { golden, scratch } from '../testing.js';
import { studyTrainer } from './studyTrainer.js';
import { runStudyRun } from '@lowrank/study';
import type { DoneRun, RunProgress, StudyRun, StudyTrainer } from '@lowrank/study';

let backend: Backend;
let trainer: StudyTrainer;
beforeAll(async () => {
  backend = await createCpuBackend({ threads: 1 });
  trainer = studyTrainer(backend);
});
afterAll(() => backend.dispose());

const runIn = (folder: string, run: Partial<StudyRun> = {}): StudyRun => ({
  id: 'a',
  label: 'a',
  purpose: 'score',
  folder: join(folder, 'a'),
  training: {
    model: join(golden, 'tied'),
    data: join(golden, 'train/rows.jsonl'),
    steps: 5,
    batchSize: 2,
    learningRate: 1e-3,
  },
  scoring: {
    data: join(golden, 'train/eval.jsonl'),
    metrics: ['loss', 'rouge-l'],
    seed: 0,
    scoreRows: 3,
    maxNewTokens: 4,
  },
  ...run,
});

describe('runStudyRun with studyTrainer', () => {
  it('is the same twice, but for what is measured, and leaves nothing on the backend', async () => {
    using place = scratch();
    const progress: RunProgress[] = [];
    const before = backend.memory.bytes;
    // As it would come over a wire.
    const run = JSON.parse(JSON.stringify(runIn(place.path))) as StudyRun;
    const first = (await runStudyRun(run, { trainer, onProgress: (event) => void progress.push(event) })) as DoneRun;
    const { measured, ...facts } = (await runStudyRun(run, { trainer })) as DoneRun;
    expect({ ...first, measured: undefined }).toEqual({ ...facts, measured: undefined });
    expect(facts).toMatchObject({ status: 'done', steps: 5, prompts: 3 });
    expect(facts.samples).toHaveLength(3);
    expect(facts.trainable_parameters / facts.model_parameters).toBeLessThan(0.5);
    expect(facts.file_bytes).toBeGreaterThan(4 * facts.trainable_parameters);
    expect(measured.peak_bytes).toBe(first.measured.peak_bytes);
    expect(measured.peak_bytes).toBeGreaterThan(4 * facts.model_parameters);
    expect(measured.seconds_per_step).toBeGreaterThan(0);
    expect(progress.map(({ stage, step }) => `${stage} ${step}`)).toEqual(
      [1, 2, 3, 4, 5].map((step) => `training ${step}`).concat('scoring 3'),
    );
    expect(backend.memory.bytes).toBe(before);
    const names = readdirSync(run.folder).map((name) => name.replace(/tfevents.*/, 'tfevents'));
    expect(names.sort()).toEqual([
      'README.md',
      'adapter_config.json',
      'adapter_model.safetensors',
      'events.out.tfevents',
      'metrics.jsonl',
      'report.html',
      'run.json',
    ]);
  });

  it('scores what full fine-tuning saved, over codes too, and keeps no weights of a run that tunes', async () => {
    using place = scratch();
    const { training } = runIn(place.path);
    const full = (await runStudyRun(runIn(place.path, { training: { ...training, method: 'full' }, purpose: 'tune' }), {
      trainer,
    })) as DoneRun;
    expect(full.trainable_parameters).toBe(full.model_parameters);
    expect(existsSync(join(place.path, 'a/model.safetensors'))).toBe(false);
    const codes = (await runStudyRun(
      runIn(place.path, { training: { ...training, quantization: 'nf4', doubleQuantization: true } }),
      { trainer },
    )) as DoneRun;
    expect(codes.model_parameters).toBe(full.model_parameters);
    expect(codes.scores.loss).not.toBe(full.scores.loss);
  });

  it('makes an outcome of a failure, and leaves nothing of it', async () => {
    using place = scratch();
    const { training } = runIn(place.path);
    const before = backend.memory.bytes;
    expect(
      await runStudyRun(runIn(place.path, { training: { ...training, method: 'full', learningRate: 1e30, clip: 0 } }), {
        trainer,
      }),
    ).toMatchObject({ status: 'failed', error: { code: 'trainer.nonFinite' } });
    expect(
      await runStudyRun(runIn(place.path, { training: { ...training, targetModules: ['nowhere'] } }), { trainer }),
    ).toMatchObject({ status: 'failed', error: { message: expect.stringContaining('nowhere') as string } });
    // One step, which leaves the weights astray after the last loss of the training.
    expect(
      await runStudyRun(runIn(place.path, { training: { ...training, steps: 1, learningRate: 1e38, clip: 0 } }), {
        trainer,
      }),
    ).toMatchObject({
      status: 'failed',
      error: { code: 'trainer.nonFinite', message: expect.stringContaining('not finite after its update') as string },
    });
    expect(readdirSync(place.path)).toEqual([]);
    expect(backend.memory.bytes).toBe(before);
    expect(
      await runStudyRun(runIn(place.path, { training: { ...training, targetModules: ['nowhere'] } }), {
        trainer,
        signal: AbortSignal.abort(),
      }),
    ).toBeUndefined();
  });

  it('gives a run up when the signal says so', async () => {
    using place = scratch();
    const controller = new AbortController();
    expect(
      await runStudyRun(runIn(place.path), {
        trainer,
        signal: controller.signal,
        onProgress: () => controller.abort(),
      }),
    ).toBeUndefined();
    expect(readdirSync(place.path)).toEqual([]);
  });

  it('does a run again on another device where its own is lost, and says so', async () => {
    using place = scratch();
    const whole = (await runStudyRun(runIn(place.path), { trainer })) as DoneRun;
    const opened: Backend[] = [];
    const gone = new LowrankError({ code: 'cpu.threadLost', what: 'a thread' });
    /** The first device fails after some runs, and says what of it only when it is asked. */
    const open = async (): Promise<Backend> => {
      const made = await createCpuBackend({ threads: 1 });
      opened.push(made);
      if (opened.length > 1) return made;
      let runs = 0;
      const finish = made.finish.bind(made);
      const prepare = made.prepare.bind(made);
      const isGone = (): boolean => runs > 3;
      made.finish = () => (isGone() ? Promise.reject(gone) : finish());
      made.prepare = async (...args) => {
        const executable = await prepare(...args);
        const run = executable.run.bind(executable);
        executable.run = (request) => (++runs > 3 ? Promise.reject(new Error('odd')) : run(request));
        return executable;
      };
      return made;
    };
    const done = (await runStudyRun(runIn(place.path), { trainer: studyTrainer(open) })) as DoneRun;
    expect(opened).toHaveLength(2);
    expect(done).toMatchObject({ status: 'done', train_loss: whole.train_loss, scores: whole.scores });
    expect(done.warnings).toContainEqual(expect.stringContaining('done again on another one'));
    // A device that nobody can replace ends the study.
    opened.length = 0;
    const only = studyTrainer(await open());
    await expect(runStudyRun(runIn(place.path), { trainer: only })).rejects.toThrow(gone);
    for (const made of opened) made.dispose();
  });
});
