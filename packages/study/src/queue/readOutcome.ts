import { LowrankError, printable } from '@lowrank/errors';
import type { RunProgress, StudyOutcome, StudyRun } from '../runs/studyRun.js';

/**
 * The outcome that a worker sent, if it is one: Redis holds whatever was written into it, and a run whose outcome
 * cannot be read has failed.
 */
export function readOutcome(value: unknown, run: Pick<StudyRun, 'id'>): StudyOutcome {
  if (isRecord(value) && value['id'] === run.id) {
    if (value['status'] === 'done' && doneFields(value)) return value as unknown as StudyOutcome;
    const { error } = value;
    if (value['status'] === 'failed' && isRecord(error) && isText(error['code']) && isText(error['message']))
      return {
        id: run.id,
        status: 'failed',
        error: { code: printable(error['code']), message: printable(error['message']) },
      };
  }
  const { code, message } = new LowrankError({
    code: 'queue.protocol',
    what: 'the outcome in the queue',
    expected: 'one of this run',
    got: 'something else',
    remedy: 'Something other than Lowrank writes into this Redis.',
  });
  return { id: run.id, status: 'failed', error: { code, message } };
}

/** How far a worker says it is; undefined where it says something else. */
export function readProgress(value: unknown): RunProgress | undefined {
  if (!isRecord(value)) return undefined;
  const { stage, step, steps, loss } = value;
  if (stage !== 'training' && stage !== 'scoring') return undefined;
  if (typeof step !== 'number' || typeof steps !== 'number') return undefined;
  return { stage, step, steps, loss: typeof loss === 'number' ? loss : undefined };
}

const counts = ['steps', 'trainable_parameters', 'model_parameters', 'prompts', 'tokens', 'file_bytes'];
const measures = ['peak_bytes', 'seconds'];

function doneFields(value: Readonly<Record<string, unknown>>): boolean {
  const { scores, samples, warnings, measured, train_loss: loss } = value;
  return (
    counts.every((name) => typeof value[name] === 'number') &&
    (loss === null || typeof loss === 'number') &&
    isRecord(scores) &&
    Object.values(scores).every((score) => typeof score === 'number') &&
    Array.isArray(samples) &&
    samples.every(isSample) &&
    Array.isArray(warnings) &&
    warnings.every(isText) &&
    isRecord(measured) &&
    measures.every((name) => typeof measured[name] === 'number') &&
    isText(measured['device'])
  );
}

const isSample = (value: unknown): boolean =>
  isRecord(value) &&
  isText(value['prompt']) &&
  isText(value['text']) &&
  Array.isArray(value['references']) &&
  value['references'].every(isText);

const isText = (value: unknown): value is string => typeof value === 'string';

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
