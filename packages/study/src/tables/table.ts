import type { MetricName } from '@lowrank/data';
import { compareScores, metricNames, taskMetricNames } from '@lowrank/data';
import type { Spread } from './statistics.js';
import { differenceOf, spreadOf } from './statistics.js';
import type { DoneRun, Measured, StudyOutcome, StudyRun, StudySample } from '../runs/studyRun.js';

/** A table of a study: plain JSON, its rows in the order in which they were asked for. */
export interface StudyTable {
  readonly study: 'compare' | 'sweep';
  readonly model: string;
  readonly model_parameters: number;
  readonly data: string;
  /** null where the test rows were held out of the data. */
  readonly test_data: string | null;
  /** The first one decides. */
  readonly metrics: readonly MetricName[];
  readonly steps: number | null;
  readonly batch_size: number;
  readonly seeds: number;
  readonly rows: readonly StudyRow[];
  /** Label of the row with the best score; null where none has one. */
  readonly best: string | null;
  /** Where its files lie; null where they are on another machine. */
  readonly best_folder: string | null;
  /** Whether runs are missing, because the study was stopped. */
  readonly interrupted: boolean;
}

export interface RowSettings {
  readonly method: string;
  readonly learning_rate: number | null;
  readonly r?: number;
  readonly alpha?: number;
  readonly target_modules?: string;
}

/** A row of a study's table: one set of settings, over its seeds. */
export interface StudyRow {
  readonly label: string;
  readonly settings: RowSettings;
  /** Seeds that were trained and scored. */
  readonly runs: number;
  readonly steps: number | null;
  readonly trainable_parameters: number | null;
  /** Of the model's own parameters. */
  readonly trainable_share: number | null;
  readonly scores: Readonly<Partial<Record<MetricName, Spread>>>;
  readonly train_loss: Spread | null;
  readonly file_bytes: number | null;
  /** How the learning rate was found; empty where it was given. */
  readonly tuning: readonly TriedRate[];
  /** Against full fine-tuning, in the first metric; null where that is not in the table, or for itself. */
  readonly against_full: AgainstFull | null;
  readonly samples: readonly StudySample[];
  /** Of the first run that failed. */
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly folders: readonly string[];
  /** Medians over the seeds: what another machine would measure otherwise. */
  readonly measured: Measured | null;
}

/** A learning rate that was tried. */
export interface TriedRate {
  readonly learning_rate: number;
  /** On the rows held out for it; null where the run failed. */
  readonly loss: number | null;
  readonly error: string | null;
}

export interface AgainstFull {
  /** This row's mean minus full fine-tuning's. */
  readonly difference: number;
  /** 95% interval of the difference; null with one seed. */
  readonly interval: readonly [low: number, high: number] | null;
  /** `unknown` with one seed: nothing separates noise from difference then. */
  readonly verdict: 'within noise' | 'better' | 'worse' | 'unknown';
}

/** A future row: its description, and its runs. */
export interface PlannedRow {
  readonly label: string;
  readonly settings: RowSettings;
  readonly runs: readonly StudyRun[];
  readonly tuning: readonly TriedRate[];
  /** What kept it from having runs at all. */
  readonly error?: StudyRow['error'];
}

export function studyRow(
  { label, settings, runs, tuning, error: known = null }: PlannedRow,
  outcomes: ReadonlyMap<string, StudyOutcome>,
): StudyRow {
  const found = runs.flatMap((run) => outcomes.get(run.id) ?? []);
  const done = found.filter((outcome): outcome is DoneRun => outcome.status === 'done');
  const error = known ?? found.flatMap((outcome) => (outcome.status === 'failed' ? [outcome.error] : []))[0] ?? null;
  const [first] = done;
  const scored = [...metricNames, ...taskMetricNames].filter((name) => first?.scores[name] !== undefined);
  const losses = done.flatMap(({ train_loss: loss }) => loss ?? []);
  return {
    label,
    settings,
    runs: done.length,
    steps: first?.steps ?? null,
    trainable_parameters: first?.trainable_parameters ?? null,
    trainable_share: first === undefined ? null : first.trainable_parameters / first.model_parameters,
    scores: Object.fromEntries(
      scored.map((name) => [name, spreadOf(done.flatMap(({ scores }) => scores[name] ?? []))]),
    ),
    train_loss: losses.length === 0 ? null : spreadOf(losses),
    file_bytes: first?.file_bytes ?? null,
    tuning,
    against_full: null,
    samples: first?.samples ?? [],
    error,
    folders: runs.filter(({ id }) => outcomes.get(id)?.status === 'done').map(({ id }) => `runs/${id}`),
    measured:
      first === undefined
        ? null
        : medians(
            done.map(({ measured }) => measured),
            first.measured.device,
          ),
  };
}

/** The same rows, each compared with full fine-tuning's. */
export function againstFull(rows: readonly StudyRow[], metric: MetricName): StudyRow[] {
  const full = rows.find(({ settings }) => settings.method === 'full')?.scores[metric];
  return rows.map((row) => {
    const own = row.scores[metric];
    if (full === undefined || own === undefined || row.settings.method === 'full') return row;
    return { ...row, against_full: compared(metric, own, full) };
  });
}

function compared(metric: MetricName, own: Spread, full: Spread): AgainstFull {
  const difference = own.mean - full.mean;
  const found = differenceOf(own, full);
  if (found === undefined) return { difference, interval: null, verdict: 'unknown' };
  const { low, high } = found;
  const interval = [low, high] as const;
  if (low <= 0 && high >= 0) return { difference, interval, verdict: 'within noise' };
  return { difference, interval, verdict: compareScores(metric, difference, 0) > 0 ? 'better' : 'worse' };
}

/**
 * The row with the best mean in the first metric; of equal ones that with the better next metric, with less loss, with
 * fewer parameters.
 */
export function bestRow(rows: readonly StudyRow[], metrics: readonly MetricName[]): StudyRow | undefined {
  const [first = 'loss'] = metrics;
  const scored = rows.filter(({ scores }) => Number.isFinite(scores[first]?.mean));
  const better = (a: StudyRow, b: StudyRow): number => {
    for (const metric of [...metrics, 'loss' as const]) {
      const order = compareScores(metric, b.scores[metric]?.mean ?? NaN, a.scores[metric]?.mean ?? NaN);
      if (order !== 0 && !Number.isNaN(order)) return order;
    }
    return (a.trainable_parameters ?? 0) - (b.trainable_parameters ?? 0);
  };
  return [...scored].sort(better)[0];
}

function medians(measured: readonly Measured[], device: string): Measured {
  const of = (key: 'seconds_per_step' | 'tokens_per_second' | 'peak_bytes' | 'seconds'): number | null => {
    const sorted = measured.flatMap((one) => one[key] ?? []).sort((a, b) => a - b);
    return sorted[Math.floor((sorted.length - 1) / 2)] ?? null;
  };
  return {
    seconds_per_step: of('seconds_per_step'),
    tokens_per_second: of('tokens_per_second'),
    peak_bytes: of('peak_bytes') ?? 0,
    seconds: of('seconds') ?? 0,
    device,
  };
}
