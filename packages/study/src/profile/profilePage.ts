import { escapeMarkup } from '../markup.js';
import { page } from '../tables/page.js';
import { byKind, cells, clockOf, columns, milliseconds, percent, rate, shapes } from './describeProfile.js';
import type { KernelProfile, ProfileReport } from './profileReport.js';

const style = `
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: .6rem; }
.figures div { background: var(--shade); border-radius: 6px; padding: .5rem .8rem; min-width: 0; }
dt { font-size: 13px; color: var(--faint); }
dd { margin: 0; font-size: 17px; font-weight: 600; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.bar { display: block; height: .6rem; background: var(--accent); border-radius: 2px; }
.bars { width: 30%; min-width: 90px; }
td.left { white-space: normal; overflow-wrap: anywhere; min-width: 220px; }
.faint { color: var(--faint); }
`;

/** A profile as a page of its own, which loads and runs nothing: where the time of a step goes, the dearest first. */
export function profilePage(report: ProfileReport): string {
  const { kernels, probes } = report;
  const figures = [
    ['a step', milliseconds(report.step_ms)],
    ['its kernels alone', milliseconds(report.kernel_ms)],
    ['launches', report.launches.toLocaleString('en')],
    ['operations', rate(report.flops, 'FLOP')],
    ['bytes of operands', rate(report.bytes, 'B')],
    ['best in products', rate(probes.flops_per_second, 'FLOP/s')],
    ['best in sums', rate(probes.bytes_per_second, 'B/s')],
    ['a launch', `${(1e6 * probes.launch_seconds).toFixed(1)} µs`],
  ];
  return page(
    `${report.model}, ${report.method}: a training step`,
    [
      `<p class="faint">${escapeMarkup(`${shapes(report)} on ${report.device}`)}. Times ${clockOf(report)}.</p>`,
      `<dl class="figures">${figures.map(figure).join('')}</dl>`,
      `<p>By kind: ${escapeMarkup(byKind(report))}.</p>`,
      '<h2>The ten dearest kernels</h2>',
      table(kernels.slice(0, 10)),
      ...(kernels.length > 10 ? [`<h2>All ${kernels.length}</h2>`, table(kernels)] : []),
      '<p class="faint">Bytes are those of the operands, each read or written once. “Of best” is the time that the ' +
        'kernel’s operations or bytes would take at the best rates above, over the time that it took.</p>',
    ],
    { style },
  );
}

function figure([name, value]: readonly string[]): string {
  return `<div><dt>${name}</dt><dd>${value}</dd></div>`;
}

function table(kernels: readonly KernelProfile[]): string {
  const largest = Math.max(...kernels.map(({ share }) => share));
  const head = [...columns.map((name) => `<th>${name.trim()}</th>`), '<th class="left">kernel</th>', '<th></th>'];
  const rows = kernels.map((kernel) => {
    const width = largest === 0 ? 0 : (100 * kernel.share) / largest;
    return (
      `<tr>${cells(kernel)
        .map((cell) => `<td>${escapeMarkup(cell)}</td>`)
        .join('')}` +
      `<td class="left">${escapeMarkup(kernel.kernel)}</td>` +
      `<td class="bars" title="${percent(kernel.share)}">` +
      `<span class="bar" style="width:${width.toFixed(1)}%"></span></td></tr>`
    );
  });
  return `<div class="wide"><table><tr>${head.join('')}</tr>${rows.join('')}</table></div>`;
}
