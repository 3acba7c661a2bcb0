import type { LoraAdapter, LoraMatrices, Spectrum } from '@lowrank/lora';
import {
  denseSpectrum,
  directionsFor,
  energyShare,
  productSpectrum,
  scalingAt,
  subspaceSimilarity,
} from '@lowrank/lora';

/** One layer's update, by full fine-tuning and by LoRA. */
export interface SpectrumLayer {
  readonly path: string;
  readonly out: number;
  readonly in: number;
  readonly full: LayerSpectrum & {
    /** ‖ΔW‖ / ‖W‖. */
    readonly relative: number;
    /** Share of ‖ΔW‖² in the first k singular directions, by k. */
    readonly energy: Readonly<Record<string, number | null>>;
    /** Directions that hold 90% of ‖ΔW‖²; null where more are needed than are known. */
    readonly directions90: number | null;
  };
  readonly lora: (LayerSpectrum & { readonly rank: number }) | null;
  /**
   * φ(i, j) of the first i directions of the full ΔW and the first j of the LoRA's, of left and of right singular
   * vectors; the last has i = j = the LoRA's rank.
   */
  readonly similarity: readonly Similarity[] | null;
}

/**
 * φ(A, B, i, j) = ‖U_Aᵀ U_B‖² / min(i, j) of the first i and j singular vectors, in [0, 1] (Hu et al. 2021, section
 * 7.2).
 */
export interface Similarity {
  readonly i: number;
  readonly j: number;
  readonly left: number;
  readonly right: number;
  /** The expectation for two random spans. */
  readonly chance_left: number;
  readonly chance_right: number;
}

/** Singular values of one layer's update ΔW, largest first. */
export interface LayerSpectrum {
  /** ‖ΔW‖, Frobenius. */
  readonly norm: number;
  readonly singular_values: readonly number[];
  /** Whether those are all of them, or the first ones. */
  readonly exact: boolean;
  readonly effective_rank: number | null;
  readonly stable_rank: number;
}

/** Numbers of directions whose share of the energy is reported. */
export const directionCounts = [1, 2, 4, 8, 16, 32, 64];

/** An adapter's matrices for a layer. */
export interface LayerLora {
  readonly matrices: LoraMatrices;
  readonly scaling: number;
  readonly fanInFanOut: boolean;
}

export function loraOf(lora: LoraAdapter | undefined, path: string): LayerLora | undefined {
  const matrices = lora?.layers.get(path);
  return lora === undefined || matrices === undefined
    ? undefined
    : { matrices, scaling: scalingAt(lora.config, path), fanInFanOut: lora.config.fanInFanOut === true };
}

export interface SpectrumLayerParts {
  readonly path: string;
  readonly shape: readonly number[];
  readonly delta: Float64Array;
  readonly baseNorm: number;
  readonly rank: number | undefined;
  readonly lora: LayerLora | undefined;
}

export function layerOf({ path, shape, delta, baseNorm, rank, lora }: SpectrumLayerParts): SpectrumLayer {
  const [rows = 0, columns = 0] = shape;
  const full = denseSpectrum(delta, {
    outFeatures: rows,
    inFeatures: columns,
    rank: Math.max(rank ?? 64, lora?.matrices.rank ?? 0),
  });
  const own = lora === undefined ? undefined : loraSpectrum(lora, rows, columns);
  return {
    path,
    out: rows,
    in: columns,
    full: {
      ...figuresOf(full),
      relative: baseNorm === 0 ? 0 : full.norm / baseNorm,
      energy: energies(full),
      directions90: directionsFor(full, 0.9) ?? null,
    },
    lora: own === undefined || lora === undefined ? null : { ...figuresOf(own), rank: lora.matrices.rank },
    similarity: own === undefined ? null : similarities(full, own),
  };
}

/** The spectrum of s·B·A, transposed where the model stores the matrix the other way round (Conv1D, embeddings). */
function loraSpectrum({ matrices, scaling, fanInFanOut }: LayerLora, rows: number, columns: number): Spectrum {
  const spectrum = productSpectrum(matrices, scaling);
  const { inFeatures, outFeatures, embedding = false } = matrices;
  const turned = embedding || (rows === columns ? fanInFanOut : rows === inFeatures && columns === outFeatures);
  return turned
    ? { ...spectrum, outFeatures: inFeatures, inFeatures: outFeatures, left: spectrum.right, right: spectrum.left }
    : spectrum;
}

function similarities(full: Spectrum, lora: Spectrum): Similarity[] {
  const rank = lora.singularValues.filter((value) => value > 1e-9 * (lora.singularValues[0] ?? 0)).length;
  const known = Math.min(rank, full.singularValues.length);
  const steps = [...new Set([...directionCounts.filter((count) => count < known), known])].filter((count) => count > 0);
  const at = (i: number, j: number): Similarity => ({
    i,
    j,
    left: subspaceSimilarity(
      { vectors: full.left, length: full.outFeatures },
      { vectors: lora.left, length: full.outFeatures },
      [i, j],
    ),
    right: subspaceSimilarity(
      { vectors: full.right, length: full.inFeatures },
      { vectors: lora.right, length: full.inFeatures },
      [i, j],
    ),
    chance_left: Math.max(i, j) / full.outFeatures,
    chance_right: Math.max(i, j) / full.inFeatures,
  });
  return full.norm === 0 ? [] : steps.flatMap((i) => steps.map((j) => at(i, j)));
}

function figuresOf({ norm, singularValues, exact, effectiveRank, stableRank }: Spectrum): LayerSpectrum {
  return {
    norm,
    singular_values: singularValues,
    exact,
    effective_rank: effectiveRank ?? null,
    stable_rank: stableRank,
  };
}

function energies(spectrum: Spectrum): Record<string, number | null> {
  return Object.fromEntries(directionCounts.map((count) => [String(count), energyShare(spectrum, count) ?? null]));
}
