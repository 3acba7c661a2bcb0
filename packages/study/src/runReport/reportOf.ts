import { page } from '../tables/page.js';
import { drawRunPanel, smoothingSteps } from './drawRunPanel.js';
import type { ReportedRun, RunSample } from './reportedRun.js';
import type { RunCurves } from './runCurves.js';
import { eventList, statusLine, stepMarks } from './runEvents.js';
import { runFigures } from './runFigures.js';
import type { RunPanel } from './runPanels.js';
import { lossPanel, otherPanels } from './runPanels.js';
import { samplesSection } from './samplesSection.js';
import { settingsSection } from './settingsSection.js';
import { escapeMarkup } from '../markup.js';

/** As often as a run writes its report anew. */
const reloadSeconds = 30;

const style = `
h1 { font-size: clamp(1.4rem, 6vw, 2rem); }
.status b { padding: .1rem .6rem; border-radius: 1rem; background: var(--shade); border: 1px solid var(--line); }
.status b.finished { background: var(--best); }
.error { border-left: 4px solid #d55e00; padding: .4rem .8rem; background: var(--shade); }
.faint, small, dt { color: var(--faint); }
progress { width: 100%; accent-color: var(--accent); }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: .6rem; }
.figures div { background: var(--shade); border-radius: 6px; padding: .5rem .8rem; min-width: 0; }
dt { font-size: 13px; } dd { margin: 0; font-size: 17px; font-weight: 600; overflow-wrap: anywhere;
  font-variant-numeric: tabular-nums; }
figure { margin: 1.2rem 0; overflow: visible; } figcaption { font-weight: 600; }
figure svg { display: block; width: 100%; min-width: 0; }
.narrow { display: none !important; max-width: 560px; }
@media (max-width: 900px) { .narrow { display: block !important; } .broad { display: none !important; } }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 330px), 1fr)); gap: 0 1.2rem; }
.panels figure { min-width: 0; max-width: 560px; }
.sample { border-top: 1px solid var(--line); padding: .4rem 0 .8rem; }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 240px), 1fr)); gap: .6rem; }
.sides section { background: var(--shade); border-radius: 6px; padding: .5rem .8rem; min-width: 0; }
h3 { font-size: 13px; font-weight: 400; color: var(--faint); margin: 0; }
.text { margin: .3rem 0; }
.settings { width: 100%; table-layout: fixed; }
.settings th, .settings td { text-align: left; white-space: pre-wrap; overflow-wrap: anywhere; vertical-align: top; }
.settings th { width: 40%; max-width: 260px; font-weight: 400; color: var(--faint); }
details { margin: 1rem 0; } summary { cursor: pointer; }
`;

/**
 * A run as a page of its own, which loads and runs nothing: curves of loss, evaluation, rate, gradient norm, speed and
 * memory over steps, configuration, samples. It may be written while the run goes on; then it reloads itself.
 */
export function reportOf(run: ReportedRun, curves: RunCurves, samples: readonly RunSample[] = []): string {
  const isGoingOn = run.status === 'running';
  const smoothed = curves.curve('loss').smoothed(smoothingSteps(curves)).at(-1)?.at(-1)?.value;
  return page(
    run.name,
    [
      ...statusLine(run, curves),
      runFigures(run, curves, smoothed),
      ...charts(run, curves),
      ...eventList(run, curves),
      ...samplesSection(samples),
      ...settingsSection(run),
    ],
    { style, reloadSeconds: isGoingOn ? reloadSeconds : undefined },
  );
}

function charts(run: ReportedRun, curves: RunCurves): string[] {
  const marks = stepMarks(run, curves);
  const draw = (panel: RunPanel, size: { readonly width: number; readonly height: number }): string | undefined =>
    drawRunPanel(panel, { ...size, curves, marks });
  const small = { width: 370, height: 220 };
  // The whole width of a screen, and that of a phone: what is scaled down that far cannot be read.
  const [broad, narrow] = [draw(lossPanel, { width: 1100, height: 340 }), draw(lossPanel, { width: 370, height: 260 })];
  if (broad === undefined || narrow === undefined) return ['<p>No step is recorded yet.</p>'];
  const others = otherPanels.flatMap((panel) => {
    const chart = draw(panel, small);
    return chart === undefined ? [] : [figure(panel.title, chart)];
  });
  return [
    figure(lossPanel.title, `<div class="broad">${broad}</div><div class="narrow">${narrow}</div>`),
    `<div class="panels">${others.join('')}</div>`,
  ];
}

function figure(title: string, chart: string): string {
  return `<figure><figcaption>${escapeMarkup(title)}</figcaption>${chart}</figure>`;
}
