import { LowrankError } from '@lowrank/errors';

/** Names a run of a study in the queue. BullMQ wants no colon in it, and no number alone. */
export function jobIdOf(study: string, run: string): string {
  for (const [what, id] of Object.entries({ 'the id of a study': study, 'the id of a run': run })) {
    if (id === '' || id.length > 256)
      throw new LowrankError({ code: 'queue.id', what, expected: '1 to 256 characters', got: `${id.length}` });
  }
  return `${encodeURIComponent(study)}/${encodeURIComponent(run)}`;
}

/**
 * Study and run of a job that {@link jobIdOf} named. Whoever makes a path of them checks them: both may be any text.
 *
 * @throws {LowrankError} queue.id for what jobIdOf would not have made
 */
export function runOf(jobId: string): { study: string; run: string } {
  try {
    const [study = '', run = ''] = jobId.split('/').map(decodeURIComponent);
    if (jobIdOf(study, run) === jobId) return { study, run };
  } catch {
    // Neither decodable nor of a length that is taken: the error below says it.
  }
  throw new LowrankError({
    code: 'queue.id',
    what: 'the id of a job in the queue',
    expected: 'study/run, both encoded as parts of a URL',
    got: JSON.stringify(jobId.slice(0, 100)),
    remedy: 'Something other than Lowrank writes into this Redis.',
  });
}
