import type { LayerSpectrum, SpectrumLayer } from './spectrumLayer.js';
import type { SpectrumResult } from './spectrum.js';

/** Head and rows of the table: a line for each layer. */
export function spectrumTable({ layers, adapter }: SpectrumResult): {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
} {
  const row = ({ path, out, in: input, full, lora, similarity }: SpectrumLayer): string[] => {
    const own = [
      path,
      `[${out}, ${input}]`,
      number(full.norm),
      number(full.relative),
      values(full),
      effective(full),
      full.directions90 === null ? `> ${full.singular_values.length}` : String(full.directions90),
      percent(full.energy['8'] ?? null),
    ];
    const last = similarity?.at(-1);
    if (adapter === null) return own;
    const phi = (value: number | undefined, chance: number | undefined): string =>
      value === undefined || chance === undefined ? '' : `${value.toFixed(3)} (${chance.toFixed(3)})`;
    return lora === null
      ? [...own, '', '', '', '', '']
      : [
          ...own,
          number(lora.norm),
          values(lora),
          effective(lora),
          phi(last?.left, last?.chance_left),
          phi(last?.right, last?.chance_right),
        ];
  };
  const head = [
    'layer',
    'ΔW',
    '‖ΔW‖',
    '‖ΔW‖/‖W‖',
    'σ first … last',
    'effective rank',
    'directions of 90%',
    'share of 8',
  ];
  return {
    head:
      adapter === null
        ? head
        : [...head, 'LoRA ‖ΔW‖', 'σ first … last', 'effective rank', 'φ left (chance)', 'φ right (chance)'],
    rows: layers.map(row),
  };
}

/** What the layers say together. */
export function spectrumSentences({ layers, total }: SpectrumResult): string[] {
  const shares = Object.entries(total.energy).flatMap(([count, share]) =>
    share === null ? [] : [`${count}: ${percent(share)}`],
  );
  const truncated = layers.filter(({ full }) => !full.exact).map(({ path }) => path);
  const { similarity_left: left, similarity_right: right, chance_left: chanceLeft, chance_right: chanceRight } = total;
  return [
    `Share of ‖ΔW‖² of all layers in the first directions of each: ${shares.join(', ')}.`,
    ...(left === null || right === null || chanceLeft === null || chanceRight === null
      ? []
      : [
          `φ(r, r) of the full ΔW and the LoRA, mean over its layers: ${left.toFixed(3)} left (random spans: ` +
            `${chanceLeft.toFixed(3)}), ${right.toFixed(3)} right (random spans: ${chanceRight.toFixed(3)}).`,
        ]),
    ...(truncated.length === 0
      ? []
      : [
          'More than 512 rows and columns, so that the first singular values were found and no effective ' +
            `rank: ${truncated.length > 4 ? `${truncated.slice(0, 4).join(', ')} and ${truncated.length - 4} more` : truncated.join(', ')}.`,
        ]),
  ];
}

/** `lowrank spectrum` for people. */
export function describeSpectrum(result: SpectrumResult): string {
  const { head, rows } = spectrumTable(result);
  const widths = head.map((name, column) => Math.max(name.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const lines = [head, ...rows].map((row) =>
    row
      .map((cell, column) => (column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
  return [...lines, '', ...spectrumSentences(result)].join('\n');
}

/** The same as Markdown. */
export function spectrumMarkdown(result: SpectrumResult): string {
  const { head, rows } = spectrumTable(result);
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const names =
    `# Spectrum\n\nBase ${result.model}, fully fine-tuned ` +
    `${result.tuned}${result.adapter === null ? '' : `, LoRA ${result.adapter}`}.`;
  return `${[names, '', line(head), line(head.map(() => '---')), ...rows.map(line), '', ...spectrumSentences(result).flatMap((sentence) => [sentence, ''])].join('\n').trimEnd()}\n`;
}

function values({ singular_values: all }: LayerSpectrum): string {
  return all.length === 0 ? '' : `${number(all[0] ?? 0)} … ${number(all.at(-1) ?? 0)}`;
}

function effective({ effective_rank: rank }: LayerSpectrum): string {
  return rank === null ? '' : rank.toFixed(1);
}

function percent(share: number | null): string {
  return share === null ? '' : `${(100 * share).toFixed(1)}%`;
}

function number(value: number): string {
  return String(Number(value.toPrecision(3)));
}
