import { LowrankError } from '@lowrank/errors';

/** Names a run of a study in the queue. BullMQ wants no colon in it, and no number alone. */
export function jobIdOf(study: string, run: string): string {
  for (const [what, id] of Object.entries({ 'the id of a study': study, 'the id of a run': run })) {
    if (id === '' || id.length > 256)
      throw new LowrankError({ code: 'queue.id', what, expected: '1 to 256 characters', got: `${id.length}` });
  }
  return `${encodeURIComponent(study)}/${encodeURIComponent(run)}`;
}

/** Study and run of a job that {@link jobIdOf} named. */
export function runOf(jobId: string): { study: string; run: string } {
  const [study = '', run = ''] = jobId.split('/').map(decodeURIComponent);
  return { study, run };
}
