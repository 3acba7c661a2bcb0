import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { golden, scratch } from '../testing.js';
import type { StudyTrainer } from '../runs/studyTrainer.js';
import { QueueWorker } from './queueWorker.js';
import type { QueueWorkerEvent } from './queueWorker.js';
import { queuedRun } from './queuedRun.js';
import type { QueuedRun } from './queuedRun.js';
import { readOutcome, readProgress } from './readOutcome.js';

const trainer: StudyTrainer = {
  open: () => Promise.resolve(),
  openSession: () => Promise.reject(new Error('no run of this test trains')),
};
const context = (id: string): Parameters<QueueWorker['run']>[1] => ({
  study: 'study',
  id,
  signal: new AbortController().signal,
  progress: () => undefined,
});
const data = join(golden, 'train/eval.jsonl');
const goodRun = (): Promise<QueuedRun> =>
  queuedRun({
    id: 'a',
    label: 'r 1',
    purpose: 'score',
    folder: '/nowhere',
    training: { model: join(golden, 'tied'), data },
    scoring: { data, metrics: ['loss'], seed: 0 },
  });

test('an id that leads out of the folder fails, and nothing is touched', async () => {
  using place = scratch();
  const folder = join(place.path, 'work');
  const victim = join(place.path, 'victim');
  for (const made of [folder, victim]) mkdirSync(made);
  writeFileSync(join(victim, 'mine'), '');
  writeFileSync(join(folder, 'mine'), '');
  const worker = new QueueWorker({ trainer, folder });
  const queued = await goodRun();
  for (const id of ['../victim', '..', '.', '', victim, 'a/../../victim', '..\\victim', 'nul', '\u001b[2J'])
    await expect(worker.run(queued, context(id))).rejects.toMatchObject({ code: 'files.unsafeName' });
  expect([existsSync(join(victim, 'mine')), existsSync(join(folder, 'mine'))]).toEqual([true, true]);
});

test('a payload that no study made fails before anything is read', async () => {
  using place = scratch();
  const worker = new QueueWorker({ trainer, folder: place.path });
  const good = await goodRun();
  const { run } = good;
  const bad: unknown[] = [
    undefined,
    null,
    7,
    [],
    {},
    { run: null },
    { run },
    { ...good, files: { '/etc/passwd': 'x' } },
    ...[{ label: '\u001b[2J' }, { label: 7 }, { purpose: 'x' }, { training: null }, { scoring: [] }].map((change) => ({
      ...good,
      run: { ...run, ...change },
    })),
    ...[{ model: 7 }, { data: 'relative' }, { data: null }, { template: 'x' }, { initAdapter: {} }].map((change) => ({
      ...good,
      run: { ...run, training: { ...run.training, ...change } },
    })),
    { ...good, run: { ...run, scoring: { ...run.scoring, metrics: 'loss' } } },
  ];
  for (const payload of bad)
    await expect([payload, worker.run(payload as QueuedRun, context('a'))][1]).rejects.toMatchObject({
      code: 'queue.job',
    });
  // A device may have no end.
  const endless = { ...good, files: { '/dev/zero': '0'.repeat(64) } };
  await expect(worker.run(endless, context('a'))).rejects.toMatchObject({ code: 'queue.job' });
});

test('events of a job that was never begun name it without what a terminal obeys', () => {
  const events: QueueWorkerEvent[] = [];
  const worker = new QueueWorker({ trainer, folder: '/nowhere', onEvent: (event) => events.push(event) });
  worker.report({ type: 'finished', study: '', id: 'a\u001b[2J', status: 'failed', message: 'bad' });
  expect(events).toMatchObject([{ label: 'a?[2J', outcome: 'failed', message: 'bad' }]);
});

test('an outcome or a progress of another form is none', () => {
  const measured = { seconds_per_step: null, tokens_per_second: null, peak_bytes: 1, seconds: 1, device: 'cpu' };
  const counts = { steps: 1, trainable_parameters: 1, model_parameters: 1, prompts: 1, tokens: 1, file_bytes: 1 };
  const done = {
    id: 'a',
    status: 'done',
    ...counts,
    train_loss: NaN,
    scores: { loss: 1 },
    samples: [],
    warnings: [],
    measured,
  };
  expect(readOutcome(done, { id: 'a' })).toBe(done);
  const lies = [
    null,
    'x',
    {},
    { ...done, id: 'b' },
    { ...done, steps: 'x' },
    { ...done, samples: [null] },
    { ...done, measured: null },
  ];
  for (const lie of [...lies, { id: 'a', status: 'failed', error: null }, { ...done, scores: { loss: {} } }])
    expect(readOutcome(lie, { id: 'a' })).toMatchObject({
      id: 'a',
      status: 'failed',
      error: { code: 'queue.protocol' },
    });
  expect(readProgress({ stage: 'training', step: 1, steps: 2 })).toEqual({ stage: 'training', step: 1, steps: 2 });
  for (const lie of [null, 5, {}, { stage: 'x', step: 1, steps: 1 }, { stage: 'training', step: '1', steps: 1 }])
    expect(readProgress(lie)).toBeUndefined();
});
