import { LowrankError } from '@lowrank/errors';
import type { Disk } from '@lowrank/files';
import { joinPath, ownDisk, writeFileAtomic } from '@lowrank/files';
import type { RunSample } from '@lowrank/study';
import type { StoppedBy } from '@lowrank/trainer';
import type { RunInput } from './runInputs.js';

/** `failed`: ended by an error. `stopped`: by a signal. Both, and `running` of a process that is gone, can go on. */
export type RunStatus = 'running' | 'stopped' | 'failed' | 'finished';

/** run.json: what a run is, and how far it is. */
export interface RunRecord {
  readonly version: number;
  readonly status: RunStatus;
  /** As ISO 8601 has it. */
  readonly started: string;
  readonly updated: string;
  readonly method: string;
  /** As they were given: `model`, `data`, `evalData`. */
  readonly places: Readonly<Record<string, string>>;
  readonly device: string;
  /** What it reads, with sizes and hashes. */
  readonly inputs: readonly RunInput[];
  /** By their names in the library, defaults included. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Those of them that were given. */
  readonly given: Readonly<Record<string, unknown>>;
  /** Optimizer steps in all. */
  readonly steps: number;
  /** Those that are saved: of the last checkpoint, or of the result. */
  readonly step: number;
  /** Seconds of training until then. */
  readonly seconds: number;
  readonly loss: number | null;
  /** The best evaluation with its measures (`eval_rouge_l`), and the checkpoint of its weights where there is one. */
  readonly best: {
    readonly step: number;
    readonly eval_loss: number;
    readonly [measure: `eval_${string}`]: number;
    readonly checkpoint: string | null;
  } | null;
  /**
   * The layouts of a step's rows that --auto-batch has come to, from the step on that it went on from; none where the
   * settings' own holds.
   */
  readonly micro_batches?: readonly MicroBatches[];
  /** Where it went on after a stop: the step of the checkpoint, and when. */
  readonly resumes: readonly { readonly step: number; readonly at: string }[];
  readonly stopped_by: StoppedBy | null;
  /** Numbers that are trained; null before the first step. */
  readonly trained_parameters: number | null;
  /** Of the result's file of weights; null where there is none yet. */
  readonly file_bytes: number | null;
  /** Of the result. */
  readonly eval_loss: number | null;
  /** Before the first step; null without rows to evaluate. */
  readonly eval_loss_before: number | null;
  /** What was written after held-out prompts at the end. */
  readonly samples: readonly RunSample[];
  readonly error: string | null;
}

/** How a step's rows are laid out. */
export interface MicroBatches {
  /** Steps that had been taken before. */
  readonly step: number;
  readonly batch_size: number;
  readonly gradient_accumulation: number;
}

export const recordFile = 'run.json';

/** Of the layout of run.json. */
export const recordVersion = 1;

/**
 * The record in a folder; undefined where there is none.
 *
 * @throws LowrankError `run.record` for one that cannot be read
 */
export async function readRecord(folder: string, disk: Disk = ownDisk): Promise<RunRecord | undefined> {
  const path = joinPath(folder, recordFile);
  const text = await disk.readText(path);
  if (text === undefined) return undefined;
  const value = parsed(text);
  if (isRecord(value)) return value;
  throw new LowrankError({
    code: 'run.record',
    what: path,
    expected: `the record of a run, version ${recordVersion}`,
    got:
      value === undefined ? 'no JSON' : `version ${JSON.stringify((value as { version?: unknown } | null)?.version)}`,
    remedy: (names) => `Choose another --output, or give ${names('overwrite')} to begin anew.`,
  });
}

/** Replaces the record, in one go. @throws LowrankError `files.notWritten` */
export async function writeRecord(folder: string, record: RunRecord, disk?: Disk): Promise<void> {
  await writeFileAtomic(joinPath(folder, recordFile), recordText(record), disk);
}

export function recordText(record: RunRecord): string {
  return `${JSON.stringify(record, undefined, 2)}\n`;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is RunRecord {
  const { version, settings, inputs, steps } = (value ?? {}) as Partial<RunRecord>;
  return (
    version === recordVersion && typeof settings === 'object' && Array.isArray(inputs) && typeof steps === 'number'
  );
}
