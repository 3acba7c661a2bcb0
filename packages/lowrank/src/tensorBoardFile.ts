import type { FileHandle } from 'node:fs/promises';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunEvent } from './front/runOptions.js';
import { eventRecord } from './eventRecords.js';

/** How every event file's name begins: what TensorBoard looks for. */
export const eventFilePrefix = 'events.out.tfevents.';

/**
 * An event file for TensorBoard in a run's folder, which grows while the run goes on: `tensorboard --logdir FOLDER`.
 * The tags are those of transformers' callback. A run that goes on has a file for each time that it was begun; what an
 * earlier one says of steps that are taken again no longer counts.
 *
 * What cannot be written (a full disk) costs a warning, and the rest of the file.
 */
export class TensorBoardFile {
  private file: FileHandle | undefined;
  private failed = false;
  /** The step after which the run goes on. */
  private from = 0;

  private constructor(
    readonly path: string,
    private readonly warn: (text: string) => unknown,
  ) {}

  /** Nothing lies in the folder before the first step. */
  static in(folder: string, warn: (text: string) => unknown): TensorBoardFile {
    const seconds = Math.floor(Date.now() / 1000);
    return new TensorBoardFile(join(folder, `${eventFilePrefix}${seconds}.lowrank.${process.pid}.0`), warn);
  }

  async write(event: RunEvent): Promise<void> {
    if (event.type === 'started') this.from = event.from;
    const scalars = scalarsOf(event);
    if (scalars === undefined || this.failed) return;
    const { step } = event as { readonly step: number };
    const at = { wallTime: Date.now() / 1000, step };
    try {
      await this.append([
        ...(this.file === undefined ? headOf(this.from === 0 ? step : this.from + 1) : []),
        eventRecord({ kind: 'scalars', scalars }, at),
      ]);
    } catch (error) {
      this.failed = true;
      const reason = error instanceof Error ? error.message : String(error);
      await this.warn(`TensorBoard's events cannot be written (${reason}); the run goes on without them`);
    }
  }

  async close(): Promise<void> {
    await this.file?.close();
    this.file = undefined;
  }

  /** Closes and removes it. */
  async discard(): Promise<void> {
    await this.close();
    await rm(this.path, { force: true });
  }

  private async append(records: readonly Uint8Array[]): Promise<void> {
    this.file ??= await open(this.path, 'a');
    // One write, so that a reader and a killed process see whole records.
    await this.file.appendFile(Buffer.concat(records));
  }
}

/** What an earlier file says of `step` and those after it no longer counts. */
function headOf(step: number): Uint8Array[] {
  const wallTime = Date.now() / 1000;
  return [eventRecord({ kind: 'version' }, { wallTime, step: 0 }), eventRecord({ kind: 'start' }, { wallTime, step })];
}

/** transformers' tags; undefined for events without numbers. */
function scalarsOf(event: RunEvent): Readonly<Record<string, number>> | undefined {
  if (event.type === 'step') {
    const { loss, gradNorm, learningRate, tokensPerSecond, measures } = event;
    const own = { loss, grad_norm: gradNorm, learning_rate: learningRate, tokens_per_second: tokensPerSecond };
    return tagged('train', { ...own, ...measures });
  }
  if (event.type === 'evaluated') return tagged('eval', { loss: event.loss, ...event.measures });
  return undefined;
}

function tagged(group: string, numbers: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(numbers).map(([name, value]) => [`${group}/${name}`, value]));
}
