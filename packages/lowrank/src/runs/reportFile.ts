import { joinPath, writeFileAtomic } from '@lowrank/files';
import type { MetricsLine, ReportedRun, RunCurves, RunSample } from '@lowrank/study';
import type { EvaluationMetrics } from '../metricsFile.js';
import { metricsLines } from './metricsLines.js';

/** The file's name in the folder of a run. */
export const reportName = 'report.html';

/** Between two times that it is written, in milliseconds; a slow disk is given a fiftieth of the time at most. */
const interval = 30_000;
const share = 50;

export interface ReportFileOptions {
  readonly folder: string;
  readonly warn: (text: string) => void | Promise<void>;
  /** What the report says beside the metrics. */
  readonly run: () => ReportedRun & { readonly samples?: readonly RunSample[] };
  /** Milliseconds. Default: this process's. */
  readonly clock?: () => number;
}

/**
 * The page of a run while it is under way: what metrics.jsonl grows by is added to curves in bounded memory, and the
 * page is written anew every 30 seconds and at the end. What cannot be written costs a warning, and not the run.
 */
export class ReportFile {
  private curves: RunCurves | undefined;
  private next = -Infinity;
  private failed = false;

  constructor(private readonly options: ReportFileOptions) {}

  /** Before the first line: takes those of the run that goes on, after they were cut back to its checkpoint. */
  async open(goesOn: boolean): Promise<void> {
    await this.attempt(async () => {
      const { RunCurves } = await import('@lowrank/study');
      const curves = new RunCurves();
      if (goesOn) for await (const line of metricsLines(this.options.folder)) curves.add(line);
      this.curves = curves;
    });
  }

  /** A line of metrics.jsonl. */
  async add(line: MetricsLine): Promise<void> {
    this.curves?.add(line);
    if (this.now() >= this.next) await this.write();
  }

  /** An evaluation that is no reason to write: before the first step, or of the result. */
  include(line: EvaluationMetrics): void {
    const known = this.curves?.curve('eval_loss').last?.step;
    if (known === undefined || known < line.step) this.curves?.add(line);
  }

  /** Writes it now. */
  async write(): Promise<void> {
    await this.attempt(async () => {
      if (this.curves === undefined) return;
      const began = this.now();
      const { reportOf } = await import('@lowrank/study');
      const run = this.options.run();
      await writeFileAtomic(joinPath(this.options.folder, reportName), reportOf(run, this.curves, run.samples));
      const now = this.now();
      this.next = now + Math.max(interval, share * (now - began));
    });
  }

  private now(): number {
    return this.options.clock?.() ?? performance.now();
  }

  private async attempt(action: () => Promise<void>): Promise<void> {
    if (this.failed) return;
    try {
      await action();
    } catch (error) {
      this.failed = true;
      const reason = error instanceof Error ? error.message : String(error);
      await this.options.warn(`${reportName} cannot be written (${reason}); the run goes on without it`);
    }
  }
}
