import type { OutputClaim } from '@lowrank/files';
import { isRunFile, joinPath } from '@lowrank/files';
import type { MethodFiles } from '@lowrank/methods';
import type { ReportedRun, RunSample } from '@lowrank/study';
import type { BaselineEvent, EvaluatedEvent, StoppedBy } from '@lowrank/trainer';
import type { Backend } from '@lowrank/tensor';
import type { RunEvent } from '../front/runOptions.js';
import type { RunState } from '../front/runState.js';
import type { MetricsFile } from '../metricsFile.js';
import { evaluationMetrics, forgivingMetrics, metricsLine, openMetricsFile } from '../metricsFile.js';
import { saveFolder } from '../saveFolder.js';
import type { TensorBoardFile } from '../tensorBoardFile.js';
import { stateFiles } from './checkpointFiles.js';
import { checkpointName, checkpointSteps, removeCheckpoint, saveCheckpoint, superfluous } from './checkpointFolders.js';
import type { ReportFile, ReportFileOptions } from './reportFile.js';
import type { RunRecord } from './runRecord.js';
import { recordFile, recordText, writeRecord } from './runRecord.js';

export interface RunFolderOptions {
  readonly claim: OutputClaim;
  /** What the record says before the first step. */
  readonly record: RunRecord;
  /** The state that the run goes on from. */
  readonly resume: RunState | undefined;
  readonly keepLast: number | undefined;
  readonly warn: (text: string) => void | Promise<void>;
  /** What else is written beside the metrics. Default: nothing. */
  readonly followers?: RunFollowers | undefined;
}

/** What is written of a run, while it is under way, for people to look at. */
export interface RunFollowers {
  report(options: ReportFileOptions): ReportFile;
  board(folder: string, warn: RunFolderOptions['warn']): TensorBoardFile;
}

/**
 * The folder of a run while it is under way: `run.json`, `metrics.jsonl`, `report.html`, checkpoints, and at the end
 * the
 * result.
 * Nothing is written before the first step. What cannot be written on the way costs a warning, and not the run.
 */
export class RunFolder {
  private record: RunRecord;
  private metrics: MetricsFile | undefined;
  private readonly report: ReportFile | undefined;
  private readonly board: TensorBoardFile | undefined;
  /** Until it is written down, before the first step's line. */
  private baseline: BaselineEvent | undefined;
  private memory: (() => Backend['memory']) | undefined;
  /** When the training began, in this process's milliseconds. */
  private began = performance.now();

  constructor(private readonly options: RunFolderOptions) {
    this.record = options.record;
    const { followers, warn } = options;
    this.board = followers?.board(this.path, warn);
    this.report = followers?.report({ folder: this.path, warn, run: () => this.reported() });
  }

  get path(): string {
    return this.options.claim.path;
  }

  private get disk(): OutputClaim['disk'] {
    return this.options.claim.disk;
  }

  /** The checkpoint with the lowest loss of an evaluation. */
  get bestCheckpoint(): string | undefined {
    const name = this.record.best?.checkpoint ?? undefined;
    return name === undefined ? undefined : joinPath(this.path, name);
  }

  /** The loss on the rows of the evaluation before the first step. */
  get lossBefore(): number | null {
    return this.record.eval_loss_before;
  }

  /** Before the first step. */
  plan(part: Pick<RunRecord, 'steps' | 'device'>, memory: () => Backend['memory']): void {
    this.record = { ...this.record, ...part };
    this.memory = memory;
    this.began = performance.now();
  }

  async onEvent(event: RunEvent): Promise<void> {
    if (event.type === 'started') this.record = { ...this.record, trained_parameters: event.trainedParameters };
    if (event.type === 'baseline') {
      this.baseline = event;
      this.record = { ...this.record, eval_loss_before: event.loss };
    }
    if (event.type === 'evaluated' && event.isLast) this.report?.include(evaluationMetrics(event));
    const { type } = event;
    if (type !== 'step' && type !== 'skipped' && type !== 'rolledBack' && type !== 'evaluated') return;
    await this.begin();
    await this.writeBaseline();
    await this.board?.write(event);
    if (event.type === 'evaluated' && event.isLast) return;
    if (event.type === 'evaluated') this.evaluated(event);
    const line = metricsLine(event);
    await this.metrics?.write(line);
    await this.report?.add(line);
  }

  /** Where there are evaluations on the way, what came before the first step is one of them. */
  private async writeBaseline(): Promise<void> {
    const { baseline, record } = this;
    this.baseline = undefined;
    if (baseline === undefined || record.settings['evaluateEvery'] === undefined) return;
    const event: EvaluatedEvent = { ...baseline, type: 'evaluated', step: 0, isBest: false, isLast: false };
    await this.board?.write(event);
    await this.metrics?.write(evaluationMetrics(event));
    this.report?.include(evaluationMetrics(event));
  }

  /** What the report says now. */
  private reported(): ReportedRun & { readonly samples: readonly RunSample[] } {
    const { record, options } = this;
    const seconds = (options.resume?.seconds ?? 0) + (performance.now() - this.began) / 1000;
    return {
      ...record,
      name: this.options.claim.name,
      seconds: record.status === 'running' || record.status === 'failed' ? seconds : record.seconds,
      updated: new Date().toISOString(),
      memory_peak_bytes: this.memory?.().peakBytes ?? null,
    };
  }

  /** Saves a state with the files of what was learned; returns where, or undefined where it cannot be written. */
  async checkpoint(state: RunState, files: MethodFiles): Promise<string | undefined> {
    await this.begin();
    const { step, seconds, loss } = state;
    let folder: string;
    try {
      const all = { ...files, ...stateFiles(state) };
      folder = await saveCheckpoint(this.path, { step, files: all, lock: this.options.claim.lock, disk: this.disk });
    } catch (error) {
      if (!isOfDisk(error)) throw error;
      await this.options.warn(
        `the checkpoint of step ${step} cannot be written (${error.message}); the run goes on without it`,
      );
      return undefined;
    }
    const { best } = this.record;
    await this.update({
      step,
      seconds,
      loss: loss ?? null,
      best: best?.step === step ? { ...best, checkpoint: checkpointName(step) } : best,
    });
    await this.prune();
    return folder;
  }

  /** Saves the result, and with it the record, in one go. */
  async save(files: MethodFiles): Promise<string> {
    await this.begin();
    await saveFolder(this.path, { ...files, [recordFile]: recordText(this.record) }, this.options.claim);
    return this.path;
  }

  /** What is known at the end; before the result is saved, so that the record is. */
  ended(part: Pick<RunRecord, 'status' | 'stopped_by'> & Partial<RunRecord>): void {
    this.record = { ...this.record, ...part, updated: new Date().toISOString() };
  }

  /** After everything; nothing is written of a run that has taken no step. */
  async close(part: Partial<RunRecord> = {}): Promise<void> {
    if (this.metrics === undefined) return;
    await this.metrics.close();
    await this.board?.close();
    await this.update(part);
    await this.report?.write();
  }

  /** Whether the training has ended, and what was learned is saved or about to be. */
  get hasEnded(): boolean {
    return this.record.status === 'finished' || this.record.status === 'stopped';
  }

  /** Whether anything was written: after its first step, or when a run before it had been gone on with. */
  get hasBegun(): boolean {
    return this.metrics !== undefined;
  }

  /** The step of the last checkpoint that it can go on from; undefined before its first step. */
  async lastCheckpoint(): Promise<number | undefined> {
    return this.metrics === undefined ? undefined : (await checkpointSteps(this.path, this.disk)).at(-1);
  }

  /** After an error: what could go on stays, what could not is gone; with a state elsewhere it all stays. */
  async fail(error: unknown, { goesOn = false }: { readonly goesOn?: boolean } = {}): Promise<void> {
    if (this.metrics === undefined) return;
    await this.metrics.close();
    await this.board?.close();
    if (!goesOn && (await checkpointSteps(this.path, this.disk)).length === 0) return this.removeRun();
    await this.update({ status: 'failed', error: error instanceof Error ? error.message : String(error) });
    await this.report?.write();
  }

  /** Before anything is written: an earlier run goes, but for its result, which another one is to replace. */
  private async begin(): Promise<void> {
    if (this.metrics !== undefined) return;
    const { resume, warn } = this.options;
    if (resume === undefined) await this.removeRun().catch(() => undefined);
    await this.update({ status: 'running' });
    this.metrics = await forgivingMetrics(
      () => openMetricsFile(this.path, resume && { step: resume.step, evaluatedAt: resume.evaluatedAt }, this.disk),
      warn,
    );
    await this.report?.open(resume !== undefined);
  }

  private async removeRun(): Promise<void> {
    for (const name of (await this.disk.list(this.path)).filter(isRunFile))
      await this.disk.removeTree(joinPath(this.path, name));
    await this.disk.syncFolder(this.path);
  }

  private evaluated({ step, loss, isBest, measures }: EvaluatedEvent): void {
    if (!isBest) return;
    const named = Object.entries(measures).map(([name, value]) => [`eval_${name}`, value] as const);
    const best = { step, eval_loss: loss, ...Object.fromEntries(named), checkpoint: null };
    this.record = { ...this.record, best };
  }

  private async update(part: Partial<RunRecord>): Promise<void> {
    this.record = { ...this.record, ...part, updated: new Date().toISOString() };
    try {
      await writeRecord(this.path, this.record, this.disk);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      await this.options.warn(`${recordFile} cannot be written (${reason}); the run goes on without it`);
    }
  }

  private async prune(): Promise<void> {
    const { keepLast } = this.options;
    const best = this.record.best?.step;
    try {
      const steps = superfluous(await checkpointSteps(this.path, this.disk), { keepLast, best });
      const removals = await Promise.allSettled(steps.map((step) => removeCheckpoint(this.path, step, this.disk)));
      for (const removal of removals) if (removal.status === 'rejected') throw removal.reason;
    } catch (error) {
      if (!isOfDisk(error)) throw error;
      await this.options.warn(`an older checkpoint cannot be removed (${error.message}); the run goes on beside it`);
    }
  }
}

/** How a run ended, as its record says it. */
export function statusOf(stoppedBy: StoppedBy): RunRecord['status'] {
  return stoppedBy === 'signal' ? 'stopped' : 'finished';
}

function isOfDisk(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && /^(files\.not|storage\.quota$|E[A-Z]+$)/.test(String(error.code));
}
