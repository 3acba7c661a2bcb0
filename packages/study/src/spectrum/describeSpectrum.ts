import type { Column, Drawn } from '../tables/drawTable.js';
import { inLines, inMarkdown } from '../tables/drawTable.js';
import type { SpectrumResult } from './spectrum.js';
import type { LayerSpectrum, SpectrumLayer } from './spectrumLayer.js';

/** `lowrank spectrum` for people. */
export function describeSpectrum(result: SpectrumResult): string {
  return inLines(drawnOf(result));
}

/** The same as Markdown. */
export function spectrumMarkdown(result: SpectrumResult): string {
  const { model, tuned, adapter } = result;
  const lora = adapter === null ? '' : `, LoRA ${adapter}`;
  return `# Spectrum\n\nBase ${model}, fully fine-tuned ${tuned}${lora}.\n\n${inMarkdown(drawnOf(result))}`;
}

/** A line for each layer, and what the layers show together. */
function drawnOf(result: SpectrumResult): Drawn<SpectrumLayer> {
  const columns = result.adapter === null ? fullColumns : [...fullColumns, ...loraColumns];
  return { columns, rows: result.layers, notes: [...totalNotes(result), ...truncationNotes(result)] };
}

const fullColumns: readonly Column<SpectrumLayer>[] = [
  { title: 'layer', of: ({ path }) => path, left: true },
  { title: 'ΔW', of: ({ out, in: input }) => `[${out}, ${input}]`, left: true },
  { title: '‖ΔW‖', of: ({ full }) => number(full.norm) },
  { title: '‖ΔW‖/‖W‖', of: ({ full }) => number(full.relative) },
  { title: 'σ first … last', of: ({ full }) => singularValues(full) },
  { title: 'effective rank', of: ({ full }) => effectiveRank(full) },
  {
    title: 'directions of 90%',
    of: ({ full }) => (full.directions90 === null ? `> ${full.singular_values.length}` : String(full.directions90)),
  },
  { title: 'share of 8', of: ({ full }) => percent(full.energy['8'] ?? null) },
];

/** Empty for a layer that the adapter does not have. */
const loraColumns: readonly Column<SpectrumLayer>[] = [
  { title: 'LoRA ‖ΔW‖', of: ({ lora }) => (lora === null ? '' : number(lora.norm)) },
  { title: 'σ first … last', of: ({ lora }) => (lora === null ? '' : singularValues(lora)) },
  { title: 'effective rank', of: ({ lora }) => (lora === null ? '' : effectiveRank(lora)) },
  { title: 'φ left (chance)', of: ({ similarity }) => phi(similarity?.at(-1), 'left') },
  { title: 'φ right (chance)', of: ({ similarity }) => phi(similarity?.at(-1), 'right') },
];

function phi(similarity: NonNullable<SpectrumLayer['similarity']>[number] | undefined, side: 'left' | 'right'): string {
  if (similarity === undefined) return '';
  const chance = side === 'left' ? similarity.chance_left : similarity.chance_right;
  return `${similarity[side].toFixed(3)} (${chance.toFixed(3)})`;
}

function totalNotes({ total }: SpectrumResult): string[] {
  const shares = Object.entries(total.energy).flatMap(([count, share]) =>
    share === null ? [] : [`${count}: ${percent(share)}`],
  );
  const energy = `Share of ‖ΔW‖² of all layers in the first directions of each: ${shares.join(', ')}.`;
  const { similarity_left: left, similarity_right: right, chance_left: chanceLeft, chance_right: chanceRight } = total;
  if (left === null || right === null || chanceLeft === null || chanceRight === null) return [energy];
  return [
    energy,
    `φ(r, r) of the full ΔW and the LoRA, mean over its layers: ${left.toFixed(3)} left (random spans: ` +
      `${chanceLeft.toFixed(3)}), ${right.toFixed(3)} right (random spans: ${chanceRight.toFixed(3)}).`,
  ];
}

/** Names layers that were too large for all their singular values. */
function truncationNotes({ layers }: SpectrumResult): string[] {
  const truncated = layers.filter(({ full }) => !full.exact).map(({ path }) => path);
  if (truncated.length === 0) return [];
  const more = truncated.length > 4 ? ` and ${truncated.length - 4} more` : '';
  return [
    'More than 512 rows and columns, so that the first singular values were found and no effective rank: ' +
      `${truncated.slice(0, 4).join(', ')}${more}.`,
  ];
}

function singularValues({ singular_values: all }: LayerSpectrum): string {
  return all.length === 0 ? '' : `${number(all[0] ?? 0)} … ${number(all.at(-1) ?? 0)}`;
}

function effectiveRank({ effective_rank: rank }: LayerSpectrum): string {
  return rank === null ? '' : rank.toFixed(1);
}

function percent(share: number | null): string {
  return share === null ? '' : `${(100 * share).toFixed(1)}%`;
}

function number(value: number): string {
  return String(Number(value.toPrecision(3)));
}
