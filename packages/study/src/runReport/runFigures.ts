import { escapeMarkup } from '../markup.js';
import { format } from '../tables/format.js';
import { shortValue } from './drawRunPanel.js';
import type { ReportedRun } from './reportedRun.js';
import type { RunCurves } from './runCurves.js';

interface Figure {
  readonly name: string;
  readonly value: string;
}

/** What a run is, in a few numbers. */
export function runFigures(run: ReportedRun, curves: RunCurves, smoothed: number | undefined): string {
  const figures = [...progressFigures(run, curves), ...lossFigures(run, curves, smoothed), ...sizeFigures(run, curves)];
  const items = figures.map(
    ({ name, value }) => `<div><dt>${escapeMarkup(name)}</dt><dd>${escapeMarkup(value)}</dd></div>`,
  );
  return `<dl class="figures">${items.join('')}</dl>`;
}

function progressFigures({ steps, seconds }: ReportedRun, curves: RunCurves): Figure[] {
  const tokens = curves.curve('tokens').sum;
  const step = curves.lastStep ?? 0;
  return [
    { name: 'steps', value: steps > step ? `${format.count(step)} of ${format.count(steps)}` : format.count(step) },
    ...(tokens > 0 ? [{ name: 'tokens', value: format.count(tokens) }] : []),
    { name: 'time of training', value: duration(seconds) },
    ...(tokens > 0 && seconds > 0
      ? [{ name: 'tokens a second', value: format.count(Math.round(tokens / seconds)) }]
      : []),
  ];
}

function lossFigures(
  { best, eval_loss: final }: ReportedRun,
  curves: RunCurves,
  smoothed: number | undefined,
): Figure[] {
  const held = final ?? curves.curve('eval_loss').last?.value;
  return [
    ...(smoothed === undefined ? [] : [{ name: 'training loss, smoothed', value: shortValue(smoothed) }]),
    ...(held === undefined ? [] : [{ name: 'held-out loss', value: shortValue(held) }]),
    ...(best === null
      ? []
      : [{ name: 'best held-out loss', value: `${shortValue(best.eval_loss)} at step ${format.count(best.step)}` }]),
  ];
}

function sizeFigures(run: ReportedRun, curves: RunCurves): Figure[] {
  const memory = run.memory_peak_bytes ?? curves.curve('memory_bytes').last?.value;
  return [
    ...count('trained parameters', run.trained_parameters, format.count),
    ...count('device memory', memory, format.bytes),
    ...count('file', run.file_bytes, format.bytes),
  ];
}

function count(name: string, value: number | null | undefined, text: (value: number) => string): Figure[] {
  return value === null || value === undefined ? [] : [{ name, value: text(value) }];
}

/** 3725 → 1 h 2 min */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${seconds < 10 ? Number(seconds.toFixed(1)) : whole} s`;
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
  return hours === 0 ? `${minutes} min ${whole % 60} s` : `${format.count(hours)} h ${minutes} min`;
}
