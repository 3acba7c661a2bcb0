import type { LoraAdapter } from '@lowrank/lora';
import { findModel, shownPlace } from '@lowrank/models';
import type { TransferProgress } from '@lowrank/models';
import type { Similarity, SpectrumLayer } from './spectrumLayer.js';
import { directionCounts, layerOf, loraOf } from './spectrumLayer.js';
import type { Matrices } from './spectrumMatrices.js';
import { requireSameModel, commonPaths, openMatrices } from './spectrumMatrices.js';

/** Options of `spectrumOfFolders`. */
export interface SpectrumFoldersOptions {
  /** Hugging Face folder, hub id or URL. */
  readonly model: string;
  /** The same model, fine-tuned with every weight. */
  readonly tuned: string;
  /** A LoRA of the same model, and its name. */
  readonly adapter?: { readonly name: string; readonly lora: LoraAdapter } | undefined;
  /** Singular values to compute of a matrix with more than 512 rows and columns. Default 64. */
  readonly rank?: number | undefined;
  readonly onLayer?: ((done: number, of: number, path: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** How far a download is. */
  readonly onProgress?: ((progress: TransferProgress) => void) | undefined;
  readonly onWarning?: ((text: string) => void) | undefined;
}

/** The result of `lowrank spectrum`. */
export interface SpectrumResult {
  readonly model: string;
  readonly tuned: string;
  readonly adapter: string | null;
  readonly layers: readonly SpectrumLayer[];
  /** Over the layers, weighed by ‖ΔW‖²: what the table ends with. */
  readonly total: {
    /**
     * The share of ‖ΔW‖² of all layers in the first k singular directions of each, by k; null where a layer is too
     * large to know.
     */
    readonly energy: Readonly<Record<string, number | null>>;
    /** Plain means over the layers that the adapter has; null without an adapter. */
    readonly similarity_left: number | null;
    readonly similarity_right: number | null;
    /** The expectation for two random spans. */
    readonly chance_left: number | null;
    readonly chance_right: number | null;
  };
}

/**
 * Computes the singular values of what full fine-tuning did to each matrix of a model, ΔW = W_tuned − W, and those
 * of a LoRA's s·B·A, and how much the spaces have in common. One matrix of each is in memory at a time.
 *
 * @throws LowrankError `cli.spectrum` for folders that are not the same model, or an adapter of another model,
 * and what the readers throw
 */
export async function spectrumOfFolders({
  model,
  tuned,
  adapter,
  rank,
  onLayer,
  signal,
  onProgress,
  onWarning,
}: SpectrumFoldersOptions): Promise<SpectrumResult> {
  const open = async (text: string): Promise<Matrices> =>
    openMatrices((await findModel(text, { kind: 'model', onWarning, onProgress })).folder);
  const [before, after] = [await open(model), await open(tuned)];
  const lora = adapter?.lora;
  const paths = commonPaths({ before, after, model: shownPlace(model), tuned: shownPlace(tuned) });
  if (lora !== undefined) requireSameModel(lora, paths, before);
  const layers: SpectrumLayer[] = [];
  for (const path of paths) {
    if (signal?.aborted === true) break;
    const base = await before.read(path);
    const delta = await after.read(path);
    const energy = base.reduce((sum: number, value) => sum + value * value, 0);
    delta.forEach((value, at) => (delta[at] = value - (base[at] ?? NaN)));
    const named = path.replace(/\.weight$/, '');
    layers.push(
      layerOf({
        path: named,
        shape: before.shapeOf(path),
        delta,
        baseNorm: Math.sqrt(energy),
        rank,
        lora: loraOf(lora, named),
      }),
    );
    onLayer?.(layers.length, paths.length, named);
  }
  return {
    model: shownPlace(model),
    tuned: shownPlace(tuned),
    adapter: adapter === undefined ? null : shownPlace(adapter.name),
    layers,
    total: totalOf(layers),
  };
}

function totalOf(layers: readonly SpectrumLayer[]): SpectrumResult['total'] {
  const whole = layers.reduce((sum, { full }) => sum + full.norm ** 2, 0);
  const energy = (count: string): number | null => {
    let sum = 0;
    for (const { full } of layers) {
      const share = full.energy[count] ?? null;
      if (share === null) return null;
      sum += share * full.norm ** 2;
    }
    return whole === 0 ? 0 : sum / whole;
  };
  const last = layers.flatMap(({ similarity }) => similarity?.at(-1) ?? []);
  const mean = (of: (similarity: Similarity) => number): number | null =>
    last.length === 0 ? null : last.reduce((sum, similarity) => sum + of(similarity), 0) / last.length;
  return {
    energy: Object.fromEntries(directionCounts.map((count) => [String(count), energy(String(count))])),
    similarity_left: mean(({ left }) => left),
    similarity_right: mean(({ right }) => right),
    chance_left: mean(({ chance_left: chance }) => chance),
    chance_right: mean(({ chance_right: chance }) => chance),
  };
}
