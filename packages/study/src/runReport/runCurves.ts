import { Curve } from './curve.js';

/** A line of metrics.jsonl. */
export type MetricsLine = Readonly<Record<string, unknown>>;

/** The numbers of metrics.jsonl that a report shows. */
export const curveNames = [
  'loss',
  'eval_loss',
  'learning_rate',
  'grad_norm',
  'tokens',
  'tokens_per_second',
  'memory_bytes',
  'margin',
  'eval_margin',
  'accuracy',
  'eval_accuracy',
] as const;

export type CurveName = (typeof curveNames)[number];

/** The curves of a run, in memory that does not grow with its length. */
export class RunCurves {
  private readonly curves = new Map<CurveName, Curve>(curveNames.map((name) => [name, new Curve()]));
  /** The last step of all lines; undefined without any. */
  lastStep: number | undefined;

  /** A line without a step is none; a value that is no finite number (JSON has null for those) is a gap. */
  add(line: MetricsLine): void {
    const { step } = line;
    if (typeof step !== 'number' || !Number.isFinite(step)) return;
    this.lastStep = Math.max(step, this.lastStep ?? 0);
    for (const [name, curve] of this.curves) {
      const value = line[name];
      if (typeof value === 'number' || value === null) curve.add(step, value);
    }
  }

  curve(name: CurveName): Curve {
    return this.curves.get(name) ?? new Curve();
  }
}

/** The curves of the lines of a metrics.jsonl. */
export function curvesOf(lines: Iterable<MetricsLine>): RunCurves {
  const curves = new RunCurves();
  for (const line of lines) curves.add(line);
  return curves;
}
