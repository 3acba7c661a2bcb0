import { expect, it } from 'vitest';
import type { StudyRun } from '@lowrank/study';
import { Speaker } from './io.js';
import { runStudyCommand, StudyReporter } from './studyReporter.js';

function listener(): { readonly speaker: Speaker; readonly said: string[]; readonly interrupt: () => void } {
  const said: string[] = [];
  let interrupt = (): void => undefined;
  const io = {
    stdout: (text: string) => void said.push(text),
    stderr: (text: string) => void said.push(text),
    isTTY: false,
    onInterrupt(callback: () => void, notice = ''): () => void {
      interrupt = () => (said.push(notice), callback());
      return () => undefined;
    },
  };
  return { speaker: new Speaker(io, false), said, interrupt: () => interrupt() };
}

it.each([
  [undefined, /the current run is given up/],
  ['redis://queue', /workers go on with theirs/],
])('Ctrl-C with --queue %s: says what becomes of the runs', async (queue, words) => {
  const { speaker, said, interrupt } = listener();
  let codes = 0;
  const study = ({ signal }: { signal?: AbortSignal | undefined }): Promise<{ interrupted: boolean }> => (
    interrupt(),
    Promise.resolve({ interrupted: signal?.aborted === true })
  );
  await runStudyCommand({ speaker, queue, onInterrupted: () => void codes++ }, study, () => 'a table');
  expect(said[0]).toMatch(words);
  expect(said[1]).toMatch(/0 of 0 runs are done and kept/);
  expect(codes).toBe(1);
});

it('a run keeps its number, however many are at work', () => {
  const { speaker, said } = listener();
  const reporter = new StudyReporter(speaker);
  const run = (id: string): StudyRun => ({
    id,
    label: id,
    purpose: 'score',
    folder: id,
    training: { model: 'm', data: 'd' },
    scoring: { data: 'd', metrics: ['loss'], seed: 0 },
  });
  reporter.report({ type: 'planned', runs: 2, steps: 2 });
  reporter.report({ type: 'started', run: run('a') });
  reporter.report({ type: 'started', run: run('b') });
  for (const id of ['b', 'a'])
    reporter.report({
      type: 'outcome',
      run: run(id),
      outcome: { id, status: 'failed', error: { code: 'c', message: 'no' } },
      reused: false,
    });
  expect(said).toEqual([
    'run 1 of 2: a\n',
    'run 2 of 2: b\n',
    'run 2 of 2: b: failed: no\n',
    'run 1 of 2: a: failed: no\n',
  ]);
});
