import type { KernelProfile, ProfileReport } from './profileReport.js';

/** As many kernels as are shown in words. */
const dearest = 10;

/** `lowrank profile` for people. */
export function describeProfile(report: ProfileReport): string {
  const shown = report.kernels.slice(0, dearest);
  const rest = report.kernels.slice(dearest);
  const rows = shown.map((kernel) => cells(kernel).map((cell, at) => cell.padStart(columns[at]?.length ?? 0)));
  return [
    `${report.model}, ${report.method}, ${shapes(report)} on ${report.device}`,
    `a step takes ${milliseconds(report.step_ms)}; its ${report.launches.toLocaleString('en')} launches, each timed ` +
      `alone (${clocks[report.clock]}), ${milliseconds(report.kernel_ms)}: ${rates(report)}`,
    `the device at its best: ${rate(report.probes.flops_per_second, 'FLOP/s')} in products, ` +
      `${rate(report.probes.bytes_per_second, 'B/s')} in sums, ` +
      `${(1e6 * report.probes.launch_seconds).toFixed(1)} µs a launch`,
    `by kind: ${byKind(report)}`,
    '',
    [...columns, 'kernel'].join('  '),
    ...rows.map((row, at) => [...row, shown[at]?.kernel ?? ''].join('  ')),
    ...(rest.length === 0
      ? []
      : [`and ${rest.length} more kernels, ${percent(rest.reduce((sum, { share }) => sum + share, 0))} of the time`]),
  ].join('\n');
}

/** `products 61.2%, attention 14.0%, …` */
export function byKind({ groups, kernel_ms: all }: Pick<ProfileReport, 'groups' | 'kernel_ms'>): string {
  return groups.map(({ group, milliseconds: ms }) => `${group} ${percent(all === 0 ? 0 : ms / all)}`).join(', ');
}

/** Headings over the numbers of a kernel, as wide as the numbers may be. */
export const columns = ['   share', '        time', 'launches', '      GFLOP/s', '    GB/s', 'of best'] as const;

/** The numbers of a kernel, under `columns`. */
export function cells(kernel: KernelProfile): string[] {
  return [
    percent(kernel.share),
    milliseconds(kernel.milliseconds),
    kernel.launches.toLocaleString('en'),
    kernel.flops === 0 ? '–' : (kernel.flops_per_second / 1e9).toFixed(1),
    (kernel.bytes_per_second / 1e9).toFixed(1),
    percent(kernel.of_best),
  ];
}

const clocks: Readonly<Record<ProfileReport['clock'], string>> = {
  timestamps: 'by the device’s timestamps',
  submits: 'by the host’s clock around a submit for each, which adds the time of a submit',
  host: 'by the host’s clock',
};

/** How the times were taken, in words. */
export function clockOf({ clock }: Pick<ProfileReport, 'clock'>): string {
  return clocks[clock];
}

export function shapes({ batches }: Pick<ProfileReport, 'batches'>): string {
  const names = batches.map(({ batch, length }) => `${batch}×${length}`);
  return [...new Set(names)]
    .map((name) => {
      const count = names.filter((each) => each === name).length;
      return count === 1 ? name : `${count} times ${name}`;
    })
    .join(' and ');
}

function rates({ kernel_ms: ms, flops, bytes }: ProfileReport): string {
  const seconds = Math.max(1e-9, ms / 1000);
  return `${rate(flops / seconds, 'FLOP/s')}, ${rate(bytes / seconds, 'B/s')}`;
}

export function rate(value: number, unit: string): string {
  return value >= 1e12 ? `${(value / 1e12).toFixed(2)} T${unit}` : `${(value / 1e9).toFixed(1)} G${unit}`;
}

export function milliseconds(value: number): string {
  return value >= 1000 ? `${(value / 1000).toFixed(2)} s` : `${value.toFixed(value < 10 ? 3 : 1)} ms`;
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(1)}%`;
}
