import { expect, test } from 'vitest';
import { badJob, jobData, readEnd, readReport } from './envelope.js';
import { receiveFiles } from './files.js';
import type { FilesSent } from './files.js';

const jobId = 'study/run';
const sent: FilesSent = {
  kind: 'sent',
  key: `lowrank:files:${jobId}:token`,
  files: [{ name: 'a', bytes: 3 }],
  bytes: 3,
  chunks: 1,
  sha256: '0',
};
const done = (files?: object): object => ({
  protocol: 1,
  worker: 'w',
  takeovers: 0,
  result: { status: 'done', value: '1', files },
});

test('data of jobs that nobody handed out are bad', () => {
  expect(badJob(jobData('1', '{}'))).toBeUndefined();
  for (const data of [undefined, null, 7, 'x', [], {}, { protocol: '1', version: '1', payload: '{}' }])
    expect(badJob(data)).toMatchObject({ code: 'queue.job' });
});

test('ends of another form are none', () => {
  expect(readEnd(done(), jobId)).toMatchObject({ result: { value: '1' } });
  expect(readEnd(done(sent), jobId)).toMatchObject({ result: { files: sent } });
  const bad = [
    null,
    'x',
    { ...done(), protocol: 2 },
    { ...done(), worker: 5 },
    { ...done(), result: null },
    { ...done(), result: { status: 'failed', error: { code: 1, message: 'x' } } },
    { ...done(), result: { status: 'done', value: 1 } },
    ...[{ kind: 'left', bytes: 1 }, { kind: 'other', bytes: 1 }, null].map((files) => done(files ?? { kind: null })),
    ...[
      { key: 'lowrank:runs:meta' },
      { bytes: 4 },
      { bytes: -1, files: [] },
      { chunks: 1e12 },
      { files: [{ name: 5, bytes: 3 }] },
      {
        files: [
          { name: 'a', bytes: 5 },
          { name: 'b', bytes: -2 },
        ],
      },
      { files: Array.from({ length: 2000 }, () => ({ name: 'a', bytes: 0 })), bytes: 0, chunks: 0 },
    ].map((lie) => done({ ...sent, ...lie })),
  ];
  for (const end of bad) expect([end, readEnd(end, jobId)]).toEqual([end, undefined]);
});

test('names and sentences of Redis hold nothing that a terminal obeys', () => {
  const [name, shown] = ['w\u001b[2J\n\u202eme', 'w\\u001b[2J \\u202eme'];
  const left = { kind: 'left', host: name, path: name, bytes: 1, reason: name };
  expect(readEnd({ ...done(left), worker: name }, jobId)).toMatchObject({
    worker: shown,
    result: { files: { host: shown, path: shown, reason: 'w\\u001b[2J\n\\u202eme' } },
  });
  const failed = { status: 'failed', error: { code: name, message: 'a\rb\nc' } };
  expect(readEnd({ ...done(), result: failed }, jobId)).toMatchObject({
    result: { error: { code: shown, message: 'a\\u000db\nc' } },
  });
  for (const type of ['started', 'refused', 'handedBack'])
    expect(readReport({ type, worker: name, takeovers: 0, message: name })).toMatchObject({ worker: shown });
  expect(readReport({ type: 'refused', worker: 'w'.repeat(1e6), message: 'm'.repeat(1e6) })).toEqual({
    type: 'refused',
    worker: 'w'.repeat(200),
    message: 'm'.repeat(4000),
  });
});

test('reports of another form are none', () => {
  expect(readReport({ type: 'started', worker: 'w', takeovers: 0 })).toMatchObject({ worker: 'w' });
  for (const report of [
    null,
    'x',
    0,
    { type: 'progress', value: {} },
    { type: 'started', worker: 'w' },
    { type: 'refused', worker: 'w' },
    { type: 'x', worker: 'w' },
  ])
    expect(readReport(report)).toBeUndefined();
});

test.each(['../x', '/etc/passwd', 'a/../../x', '', 'a//b', '.bashrc', 'C:x', 'a\\b'])(
  'files named %j are refused',
  async (name) => {
    const none = { getBuffer: () => Promise.resolve(null) } as unknown as Parameters<typeof receiveFiles>[0];
    await expect(receiveFiles(none, { ...sent, files: [{ name, bytes: 0 }] }, '/nowhere/at/all')).rejects.toMatchObject(
      {
        code: 'files.unsafeName',
      },
    );
  },
);
