import { escapeMarkup } from '../markup.js';
import { format } from '../tables/format.js';
import type { StepMark } from './drawRunPanel.js';
import { shortValue } from './drawRunPanel.js';
import type { ReportedRun } from './reportedRun.js';
import type { RunCurves } from './runCurves.js';

/** What happened in a run beside its steps: the best evaluation, where it was stopped and went on. */
export function stepMarks({ best, resumes = [], status, stopped_by: by }: ReportedRun, curves: RunCurves): StepMark[] {
  const last = curves.lastStep ?? 0;
  const isOver = status !== 'running' && status !== 'finished';
  const end = by === 'early-stopping' ? 'early stopping' : isOver ? status : undefined;
  return [
    ...(best === null ? [] : [{ step: best.step, name: 'best', isBest: true }]),
    ...resumes.map(({ step }) => ({ step, name: 'resumed', isBest: false })),
    ...(end === undefined ? [] : [{ step: last, name: end, isBest: false }]),
  ];
}

/** How far the run is, in a sentence and a bar. */
export function statusLine(run: ReportedRun, curves: RunCurves): string[] {
  const { status, steps, updated } = run;
  const step = curves.lastStep ?? 0;
  const progress =
    status === 'running' && steps > 0
      ? [`<progress max="${steps}" value="${step}" aria-label="Steps taken"></progress>`]
      : [];
  return [
    `<p class="status"><b class="${status}">${status}</b> ${escapeMarkup(statusText(run, step))}</p>`,
    ...progress,
    ...(run.error === null ? [] : [`<p class="error">${escapeMarkup(run.error)}</p>`]),
    `<p class="faint">Begun ${time(run.started)}, as of ${time(updated)}; ${escapeMarkup(run.device)}</p>`,
  ];
}

function statusText({ status, steps, seconds, stopped_by: by }: ReportedRun, step: number): string {
  const of = `step ${format.count(step)} of ${format.count(steps)}`;
  switch (status) {
    case 'running': {
      const left = step === 0 ? undefined : (seconds / step) * (steps - step);
      return left === undefined ? of : `${of}, about ${roughly(left)} left; this page follows it`;
    }
    case 'finished':
      return by === 'early-stopping'
        ? `after ${format.count(step)} steps: the held-out loss fell no further`
        : `after ${format.count(step)} steps`;
    case 'stopped':
    case 'failed':
    case 'interrupted':
      return `at ${of}; the same command goes on from its last checkpoint`;
  }
}

/** Happenings by step, for those who cannot see them in the charts. */
export function eventList(run: ReportedRun, curves: RunCurves): string[] {
  const { best, resumes = [] } = run;
  const missing = curves.curve('loss').missing;
  const items = [
    ...(best === null
      ? []
      : [
          `Best step: ${format.count(best.step)}, with a held-out loss of ${shortValue(best.eval_loss)}` +
            `${best.checkpoint === null ? '' : `; its weights lie in ${best.checkpoint}`}.`,
        ]),
    ...resumes.map(({ step, at }) => `Stopped, and resumed from step ${format.count(step)} at ${plainTime(at)}.`),
    ...(missing === 0 ? [] : [`Steps whose loss was no finite number, gaps of its curve: ${format.count(missing)}.`]),
  ];
  return items.length === 0 ? [] : [`<ul>${items.map((text) => `<li>${escapeMarkup(text)}</li>`).join('')}</ul>`];
}

function roughly(seconds: number): string {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** 2026-11-30T08:15:42.123Z → 2026-11-30 08:15 UTC */
function plainTime(iso: string): string {
  const [, day, minute] = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)/.exec(iso) ?? [];
  return day === undefined ? iso : `${day} ${minute} UTC`;
}

function time(iso: string): string {
  return `<time datetime="${escapeMarkup(iso)}">${escapeMarkup(plainTime(iso))}</time>`;
}
