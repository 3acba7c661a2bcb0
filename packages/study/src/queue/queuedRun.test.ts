import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { golden, scratch } from '../testing.js';
import { checkFit, queuedRun } from './queuedRun.js';
import type { StudyRun } from '../runs/studyRun.js';

test('names the file that a machine lacks, or has with other contents', async () => {
  using folder = scratch();
  const data = join(folder.path, 'rows.jsonl');
  writeFileSync(data, '{"text": "a"}\n');
  const run: StudyRun = {
    id: 'a',
    label: 'r 1',
    purpose: 'score',
    folder: join(folder.path, 'out'),
    training: { model: join(golden, 'tied'), data },
    scoring: { data, metrics: ['loss'], seed: 0 },
  };
  const queued = await queuedRun(run);
  expect(Object.keys(queued.files)).toEqual([data]);
  await checkFit(queued);
  await checkFit(await queuedRun({ ...run, training: { ...run.training, model: 'owner/name' } }));
  const refuses = (changed: typeof queued, words: RegExp): Promise<void> =>
    expect(checkFit(changed)).rejects.toMatchObject({
      code: 'queue.unfit',
      message: expect.stringMatching(words) as string,
    });
  await refuses(
    { ...queued, run: { ...run, training: { ...run.training, model: join(folder.path, 'nowhere') } } },
    /nowhere, which the run r 1 reads.*no such file or folder.*hub id/,
  );
  const digests = new Map<string, string>();
  await checkFit(queued, digests);
  writeFileSync(data, '{"text": "other"}\n');
  await refuses(queued, /rows\.jsonl.*contents that the study has/);
  // A worker that knew the file as it was sees what it is now.
  await expect(checkFit(queued, digests)).rejects.toMatchObject({ code: 'queue.unfit' });
  await checkFit(await queuedRun(run), digests);
  rmSync(data);
  await refuses(queued, /rows\.jsonl.*no such file/);
});

test('addresses with credentials do not travel, and the message does not hold them', async () => {
  const data = join(golden, 'train/eval.jsonl');
  const run = (model: string, initAdapter?: string): StudyRun => ({
    id: 'a',
    label: 'r 1',
    purpose: 'score',
    folder: '/nowhere',
    training: { model, data, ...(initAdapter !== undefined && { initAdapter }) },
    scoring: { data, metrics: ['loss'], seed: 0 },
  });
  const refusal = async (model: string, initAdapter?: string): Promise<Error> => {
    const error = await queuedRun(run(model, initAdapter)).catch((cause: unknown) => cause as Error);
    expect(error).toMatchObject({
      code: 'queue.credentials',
      message: expect.not.stringContaining('s3cret') as string,
    });
    return error as Error;
  };
  expect((await refusal('https://me:s3cret@host:8443/model')).message).toMatch(
    /https:\/\/host:8443\/model .*LOWRANK_URL_CREDENTIALS=https:\/\/user:password@host:8443/,
  );
  expect((await refusal('https://host/model?sig=s3cret')).message).toMatch(/signature.*Download the model/);
  await refusal('owner/name', 'https://s3cret@host/adapter');
  expect((await queuedRun(run('https://host/model'))).run.training.model).toBe('https://host/model');
});
