/** A layer's singular values, in falling order, and the rank that it was trained with. */
interface Layer {
  readonly rank: number;
  readonly singularValues: readonly number[];
}

export interface RankAdvice {
  /** Directions that hold 95% of ‖ΔW‖² in the layer that needs the most of them. */
  readonly needed: number;
  /** The same, in the middle of all layers. */
  readonly usual: number;
  readonly rank: number;
  readonly text: string;
}

/** Fewer directions than this hold what is worth holding. */
const share = 0.95;

/**
 * What the singular values of ΔW = s·B·A say of the rank: directions that hold 95% of ‖ΔW‖². Undefined where the
 * adapter adds nothing.
 */
export function rankAdvice(layers: readonly Layer[]): RankAdvice | undefined {
  const counts = layers.flatMap(({ singularValues }) => directionsOf(singularValues) ?? []).toSorted((a, b) => a - b);
  const needed = counts.at(-1);
  const usual = counts[Math.floor(counts.length / 2)];
  if (needed === undefined || usual === undefined) return undefined;
  const rank = Math.max(...layers.map((layer) => layer.rank));
  return { needed, usual, rank, text: adviceOf(needed, rank) };
}

function directionsOf(values: readonly number[]): number | undefined {
  const energies = values.map((value) => value ** 2);
  const whole = energies.reduce((sum, energy) => sum + energy, 0);
  if (whole === 0) return undefined;
  let sum = 0;
  return energies.findIndex((energy) => (sum += energy) >= share * whole) + 1;
}

function adviceOf(needed: number, rank: number): string {
  const enough = 2 ** Math.ceil(Math.log2(needed));
  if (enough < rank)
    return (
      `Rank ${enough} would hold 95% of what every layer has learned: try it, the file is ` +
      `${Math.round(rank / enough)} times smaller.`
    );
  if (needed > 0.75 * rank)
    return `Some layers use nearly all ${rank} directions: if the held-out loss still falls, try a higher rank.`;
  return `Rank ${rank} suits these rows: neither idle nor too small.`;
}
