import type { Disk } from '@lowrank/files';
import { joinPath, ownDisk, writeFileAtomic } from '@lowrank/files';
import type { EvaluatedEvent, RolledBackEvent, SkippedEvent, StepEvent } from '@lowrank/trainer';

/** A line of metrics.jsonl for a step. */
export interface Metrics {
  readonly step: number;
  readonly loss: number;
  /** Before clipping. */
  readonly grad_norm: number;
  readonly learning_rate: number;
  /** Tokens of the step, prompts included and padding not. */
  readonly tokens: number;
  readonly tokens_per_second: number;
  /** Allocated on the device. */
  readonly memory_bytes: number;
  /** What the loss measures beside itself: `margin` and `accuracy` of a preference loss. */
  readonly [measure: string]: number;
}

export function metricsOf(event: StepEvent): Metrics {
  const { step, loss, gradNorm, learningRate, tokens, tokensPerSecond, memoryBytes, measures } = event;
  return {
    step,
    loss,
    ...measures,
    grad_norm: gradNorm,
    learning_rate: learningRate,
    tokens,
    tokens_per_second: tokensPerSecond,
    memory_bytes: memoryBytes,
  };
}

/** A line of metrics.jsonl for an evaluation, between those of the steps. */
export interface EvaluationMetrics {
  readonly step: number;
  readonly eval_loss: number;
  /** What the loss measures beside itself, over the rows of the evaluation: `eval_margin`. */
  readonly [measure: string]: number;
}

export function evaluationMetrics({ step, loss, measures }: EvaluatedEvent): EvaluationMetrics {
  const named = Object.entries(measures).map(([name, value]) => [`eval_${name}`, value] as const);
  return { step, eval_loss: loss, ...Object.fromEntries(named) };
}

/** A line of metrics.jsonl for a step whose batch was skipped. NaN and infinity are null: JSON has neither. */
export type SkippedMetrics = {
  readonly step: number;
  readonly loss: number | null;
  readonly grad_norm: number | null;
  readonly skipped: true;
  /** The step whose weights came back, after a loss spike. */
  readonly rolled_back_to?: number;
};

export function skippedMetrics(event: SkippedEvent | RolledBackEvent): SkippedMetrics {
  const known = (value: number): number | null => (Number.isFinite(value) ? value : null);
  const back = event.type === 'rolledBack' ? { rolled_back_to: event.to } : {};
  return { step: event.step, loss: known(event.loss), grad_norm: known(event.gradNorm), skipped: true, ...back };
}

/** A line for whatever has one. */
export function metricsLine(
  event: StepEvent | SkippedEvent | RolledBackEvent | EvaluatedEvent,
): Metrics | SkippedMetrics | EvaluationMetrics {
  if (event.type === 'step') return metricsOf(event);
  return event.type === 'evaluated' ? evaluationMetrics(event) : skippedMetrics(event);
}

/** metrics.jsonl of a run's folder: it grows line by line, so that it can be followed. */
export interface MetricsFile {
  write(metrics: Metrics | SkippedMetrics | EvaluationMetrics): Promise<void>;
  /** Makes what was written last. */
  close(): Promise<void>;
}

/** The file's name in the folder of a run. */
export const metricsName = 'metrics.jsonl';

/** Of a run that goes on: what of the lines before it stays. */
export interface KeptMetrics {
  /** Lines of later steps go: those steps are taken again. */
  readonly step: number;
  /** So do evaluations after this step. */
  readonly evaluatedAt: number;
}

/** Begins the file, or cuts the one that is there back to a checkpoint. */
export async function openMetricsFile(folder: string, kept?: KeptMetrics, disk: Disk = ownDisk): Promise<MetricsFile> {
  const path = joinPath(folder, metricsName);
  if (kept === undefined) await writeFileAtomic(path, '', disk);
  else await cutBack(path, kept, disk);
  let isOpen = true;
  return {
    write: (metrics) => disk.append(path, new TextEncoder().encode(`${JSON.stringify(metrics)}\n`)),
    async close() {
      if (!isOpen) return;
      isOpen = false;
      await disk.syncFile(path);
    },
  };
}

async function cutBack(path: string, { step: last, evaluatedAt }: KeptMetrics, disk: Disk): Promise<void> {
  const lines = ((await disk.readText(path).catch(() => undefined)) ?? '').split('\n');
  const isKept = (line: string): boolean => {
    const { step = Infinity, eval_loss: evaluation } = parsed(line);
    return step <= (evaluation === undefined ? last : evaluatedAt);
  };
  const kept = lines.filter(isKept).map((line) => `${line}\n`);
  await writeFileAtomic(path, kept.join(''), disk);
}

/** A line that a process died at is none. */
function parsed(line: string): { readonly step?: number; readonly eval_loss?: number } {
  try {
    return (JSON.parse(line) as { step?: number } | null) ?? {};
  } catch {
    return {};
  }
}

/**
 * The same file, whose failures cost nothing: what cannot be written down (a full disk) is no reason to lose what is
 * being learned. `warn` receives the first one, as a sentence, and nothing is written from then on.
 */
export async function forgivingMetrics(
  opening: () => Promise<MetricsFile>,
  warn: (text: string) => void | Promise<void>,
): Promise<MetricsFile> {
  let failed = false;
  const attempt = async <Result>(action: () => Promise<Result>): Promise<Result | undefined> => {
    if (failed) return undefined;
    try {
      return await action();
    } catch (error) {
      failed = true;
      const reason = error instanceof Error ? error.message : String(error);
      await warn(`${metricsName} cannot be written (${reason}); the run goes on without it`);
      return undefined;
    }
  };
  const file = await attempt(opening);
  return {
    write: (metrics) => attempt(async () => file?.write(metrics)),
    close: () => attempt(async () => file?.close()),
  };
}
