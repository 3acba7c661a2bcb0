import { isLowrankError } from '@lowrank/errors';
import type { AdapterReport, LayerReport, LoraConfig } from '@lowrank/lora';
import { inspectAdapter } from '@lowrank/lora';
import { lora, methodOf } from '@lowrank/methods';
import type { AdapterSource } from '@lowrank/methods';
import { findModel } from '@lowrank/models';
import { openAdapterFolder } from '../adapterFolder.js';
import type { TransferEvents } from './folders.js';

/** What `lowrank inspect` prints. Norms and values that are no numbers, since A or B has NaN, are null. */
export interface InspectResult {
  readonly adapter: string;
  readonly method: string;
  readonly peft_type: string;
  readonly peft_version: string | null;
  readonly base_model: string | null;
  readonly revision: string | null;
  readonly task_type: string | null;
  /** null, as all up to `target_modules`, for other methods than LoRA. */
  readonly r: number | null;
  readonly alpha: number | null;
  readonly use_rslora: boolean | null;
  readonly dropout: number | null;
  readonly init: unknown;
  readonly target_modules: readonly string[] | string | null;
  readonly exclude_modules: readonly string[] | string | null;
  readonly layers_to_transform: readonly number[] | null;
  readonly modules_to_save: readonly string[] | null;
  readonly trainable_token_indices: LoraConfig['trainableTokenIndices'] | null;
  readonly ensure_weight_tying: boolean | null;
  /** The ranks that there are, ascending. */
  readonly ranks: readonly number[];
  readonly parameters: number;
  readonly bytes: number;
  readonly dtypes: readonly string[];
  readonly layers: readonly {
    readonly path: string;
    readonly kind: 'linear' | 'embedding';
    readonly rank: number;
    readonly in: number;
    readonly out: number;
    readonly scaling: number;
    readonly dtype: string;
    readonly parameters: number;
    /** ‖ΔW‖, Frobenius. */
    readonly norm: number | null;
    readonly effective_rank: number | null;
    readonly singular_values: readonly number[];
  }[];
  /** Tensors that are no A or B. */
  readonly others: AdapterReport['others'];
  readonly refused: AdapterReport['refused'];
  /** What of its configuration Lowrank leaves aside. */
  readonly warnings: readonly string[];
  /** Why Lowrank would not load it. */
  readonly problem: string | null;
}

/** Tells what an adapter is and what it does to each layer, whether or not Lowrank loads it. */
export async function inspectFolder({
  adapter,
  onTransfer,
  onWarning,
}: TransferEvents & { readonly adapter: string }): Promise<InspectResult> {
  const { folder } = await findModel(adapter, {
    kind: 'adapter',
    onWarning,
    onProgress: (progress) => onTransfer?.({ stage: 'downloading', ...progress }),
  });
  const opened = await openAdapterFolder(folder);
  const { config, layers, ...report } = await inspectAdapter(opened);
  const other = await otherMethod(opened);
  return {
    adapter,
    method: other?.method ?? report.method,
    peft_type: report.peftType,
    peft_version: report.peftVersion ?? null,
    base_model: report.baseModel ?? null,
    revision: report.revision ?? null,
    task_type: report.taskType ?? null,
    r: config?.r ?? null,
    alpha: config?.alpha ?? null,
    use_rslora: config?.useRslora ?? null,
    dropout: config?.dropout ?? null,
    init: config === undefined ? null : report.init,
    target_modules: config?.targetModules ?? null,
    exclude_modules: config?.excludeModules ?? null,
    layers_to_transform: config?.layersToTransform ?? null,
    modules_to_save: config?.modulesToSave ?? null,
    trainable_token_indices: config?.trainableTokenIndices ?? null,
    ensure_weight_tying: config === undefined ? null : config.ensureWeightTying === true,
    ranks: [...new Set(layers.map(({ rank }) => rank))].sort((a, b) => a - b),
    parameters: report.parameters,
    bytes: report.bytes,
    dtypes: report.dtypes,
    layers: layers.map(layerResult),
    others: report.others,
    // Of LoRA's settings: another method has its own.
    refused: other === undefined ? report.refused : [],
    warnings: report.warnings,
    problem: (other === undefined ? report.problem : other.problem) ?? null,
  };
}

function layerResult(layer: LayerReport): InspectResult['layers'][number] {
  const { inFeatures, outFeatures, effectiveRank, singularValues, norm, ...same } = layer;
  return {
    ...same,
    in: inFeatures,
    out: outFeatures,
    norm: finiteOrNull(norm),
    effective_rank: finiteOrNull(effectiveRank),
    singular_values: singularValues,
  };
}

function finiteOrNull(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

/** What another method than LoRA says of its folder; undefined for LoRA, and for a method that is unknown here. */
async function otherMethod(
  source: AdapterSource,
): Promise<{ method: string | undefined; problem: string | undefined } | undefined> {
  const known = methodTypeOf(source);
  if (known === undefined || known.name === lora.name) return undefined;
  return known
    .read(source)
    .then((stored) => ({ method: known.describe?.(stored) ?? known.title, problem: undefined }), complaintOf);
}

function methodTypeOf({ config, name }: AdapterSource): ReturnType<typeof methodOf> | undefined {
  try {
    return methodOf(config, name);
  } catch (error) {
    if (isLowrankError(error)) return undefined;
    throw error;
  }
}

function complaintOf(error: unknown): { method: undefined; problem: string } {
  if (isLowrankError(error)) return { method: undefined, problem: error.message };
  throw error;
}
