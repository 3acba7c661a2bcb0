import { isLowrankError, LowrankError, shown } from '@lowrank/errors';
import type { ByteSource, SafetensorsFile, TensorInfo } from '@lowrank/safetensors';
import { openSafetensors } from '@lowrank/safetensors';
import { parseAdapterConfig, settingWarnings } from './adapterConfig.js';
import { readAdapter } from './readAdapter.js';
import { rankAt, scalingAt } from './scaling.js';
import type { LoraConfig } from './config.js';
import { effectiveRank } from './effectiveRank.js';
import { productSvd } from './numeric/productSvd.js';
import { tensorNumbers } from './tensorNumbers.js';

/** What an adapter does to one layer: ΔW = s·B·A. */
export interface LayerReport {
  readonly path: string;
  readonly kind: 'linear' | 'embedding';
  readonly rank: number;
  /** Of an embedding, the vocabulary's size. */
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** s: alpha/r or alpha/√r, with this layer's own. */
  readonly scaling: number;
  readonly dtype: string;
  readonly parameters: number;
  /** Frobenius norm of ΔW; NaN where A or B is not finite. */
  readonly norm: number;
  /** Of ΔW, descending: min(r, in, out) of them; none where A or B is not finite. */
  readonly singularValues: readonly number[];
  /** exp of the entropy of the singular values' shares (Roy and Vetterli 2007): from 1 to the rank, 0 for ΔW = 0. */
  readonly effectiveRank: number;
}

/** What `inspectAdapter` finds: the method, its settings, and a row for each layer. */
export interface AdapterReport {
  /** `LoRA`, `rsLoRA`, with ` + DoRA`; or PEFT's name of another method. */
  readonly method: string;
  readonly peftType: string;
  readonly peftVersion: string | undefined;
  readonly baseModel: string | undefined;
  readonly revision: string | undefined;
  readonly taskType: string | undefined;
  /** Absent for other methods than LoRA. */
  readonly config: LoraConfig | undefined;
  /** How A and B began, as the file says it. */
  readonly init: unknown;
  readonly layers: readonly LayerReport[];
  /** Tensors that are no A or B: saved tables and heads, or what belongs to a variant. */
  readonly others: readonly Pick<TensorInfo, 'name' | 'dtype' | 'shape'>[];
  /** Numbers in all tensors. */
  readonly parameters: number;
  /** Of the file. */
  readonly bytes: number;
  readonly dtypes: readonly string[];
  /** Settings that Lowrank does not have. */
  readonly refused: readonly { readonly setting: string; readonly value: unknown }[];
  /** What of its configuration Lowrank leaves aside, as sentences. */
  readonly warnings: readonly string[];
  /** Why Lowrank would not load it. */
  readonly problem: string | undefined;
}

/** Settings that every adapter has: an invalid one is an error, not a sign of a variant. */
const ordinary = new Set([
  'peft_type',
  'target_modules',
  'exclude_modules',
  'layers_to_transform',
  'layers_pattern',
  'r',
  'lora_alpha',
  'lora_dropout',
  'rank_pattern',
  'alpha_pattern',
]);

/**
 * Tells what an adapter in PEFT's format is, whether or not Lowrank loads it. Singular values come from the small
 * factors, and ΔW is never formed; with DoRA they are those of s·B·A alone, and with an init that begins in the base
 * (PiSSA, OLoRA) they have that part in them.
 *
 * @throws LowrankError `lora.adapterConfig` and `lora.config` for a configuration that makes no sense, `lora.keys` and
 * `lora.shape` for an A without its B, and safetensors' codes
 */
export async function inspectAdapter({
  config,
  weights,
  name,
}: {
  config: unknown;
  weights: ByteSource;
  name: string;
}): Promise<AdapterReport> {
  if (typeof config !== 'object' || config === null || Array.isArray(config))
    throw new LowrankError({
      code: 'lora.adapterConfig',
      what: `the content of ${name}/adapter_config.json`,
      expected: 'a JSON object',
      got: shown(config),
    });
  const given = config as Readonly<Record<string, unknown>>;
  const peftType = typeof given['peft_type'] === 'string' ? given['peft_type'] : 'unknown';
  const refused = refusedSettings(given);
  const rest = Object.fromEntries(
    Object.entries(given).filter(([key]) => !refused.some(({ setting }) => setting === key)),
  );
  const parsed =
    peftType === 'LORA' || peftType === 'TRAINABLE_TOKENS'
      ? parseAdapterConfig(rest, `${name}/adapter_config.json`)
      : undefined;
  const file = await openSafetensors(weights);
  const { pairs, others } = sorted(file);
  const layers: LayerReport[] = [];
  if (parsed !== undefined) for (const pair of pairs) layers.push(await layerReport(file, parsed, pair));
  const tensors = [...file.tensors.values()];
  const text = (key: string): string | undefined => (typeof given[key] === 'string' ? given[key] : undefined);
  return {
    method:
      parsed === undefined
        ? peftType
        : parsed.peftType !== undefined
          ? 'trained token rows'
          : `${parsed.useRslora ? 'rsLoRA' : 'LoRA'}${given['use_dora'] === true ? ' + DoRA' : ''}`,
    peftType,
    peftVersion: text('peft_version'),
    baseModel: text('base_model_name_or_path'),
    revision: text('revision'),
    taskType: text('task_type'),
    config: parsed,
    init: given['init_lora_weights'] ?? true,
    layers,
    others:
      parsed === undefined ? tensors.map(({ name: tensor, dtype, shape }) => ({ name: tensor, dtype, shape })) : others,
    parameters: tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0),
    bytes: await weights.size(),
    dtypes: [...new Set(tensors.map(({ dtype }) => dtype))].sort(),
    refused,
    warnings: parsed === undefined ? [] : settingWarnings(given, 'adapter_config.json'),
    problem: await readAdapter({ config, weights, name }).then(
      () => (parsed === undefined ? undefined : unlike(layers, parsed)),
      complaint,
    ),
  };
}

/** A rank that the configuration denies: the factor would be another than in training. */
function unlike(layers: readonly LayerReport[], config: LoraConfig): string | undefined {
  const odd = layers.find(({ path, rank }) => rankAt(config, path) !== rank);
  return odd === undefined
    ? undefined
    : `${odd.path}: expected rank ${rankAt(config, odd.path)}, as the configuration says, got ${odd.rank}`;
}

function complaint(error: unknown): string {
  if (isLowrankError(error)) return error.message;
  throw error;
}

/** Checks each setting alone, in an otherwise minimal configuration. */
function refusedSettings(given: Readonly<Record<string, unknown>>): { setting: string; value: unknown }[] {
  const minimum = { peft_type: 'LORA', target_modules: ['any'] };
  const takes = (settings: object): boolean => {
    try {
      parseAdapterConfig({ ...minimum, ...settings });
      return true;
    } catch (error) {
      if (isLowrankError(error)) return error.code !== 'lora.adapterConfig';
      throw error;
    }
  };
  return Object.entries(given).flatMap(([setting, value]) =>
    (setting === 'peft_type' || !ordinary.has(setting)) && !takes({ [setting]: value }) ? [{ setting, value }] : [],
  );
}

interface Pair {
  readonly path: string;
  readonly kind: 'linear' | 'embedding';
  readonly a: TensorInfo;
  readonly b: TensorInfo;
}

function sorted(file: SafetensorsFile): { pairs: Pair[]; others: AdapterReport['others'][number][] } {
  const halves = new Map<string, Partial<Record<'A' | 'B', TensorInfo>>>();
  const others: AdapterReport['others'][number][] = [];
  for (const [key, info] of file.tensors) {
    const [, path, half] =
      /^(?:base_model\.model\.)?(.+\.lora_(?:embedding_)?)([AB])(?:\.default)?(?:\.weight)?$/.exec(key) ?? [];
    if (path === undefined || (half !== 'A' && half !== 'B') || info.shape.length !== 2)
      others.push({ name: key, dtype: info.dtype, shape: info.shape });
    else halves.set(path, { ...halves.get(path), [half]: info });
  }
  const pairs = [...halves].map(([start, { A: a, B: b }]): Pair => {
    const path = start.replace(/\.lora_(embedding_)?$/, '');
    if (a === undefined || b === undefined)
      throw new LowrankError({
        code: 'lora.keys',
        what: `${path} in ${file.name}`,
        expected: 'lora_A and lora_B',
        got: `only lora_${a === undefined ? 'B' : 'A'}`,
        remedy: 'The file is incomplete: save or download it again.',
      });
    if (a.shape[0] !== b.shape[1] || a.shape[0] === 0)
      throw new LowrankError({
        code: 'lora.shape',
        what: `${path} in ${file.name}`,
        expected: 'A [r, in] and B [out, r] of one rank',
        got: `A [${a.shape.join(', ')}] and B [${b.shape.join(', ')}]`,
      });
    return { path, kind: start.endsWith('embedding_') ? 'embedding' : 'linear', a, b };
  });
  return { pairs, others };
}

async function layerReport(
  file: SafetensorsFile,
  config: LoraConfig,
  { path, kind, a, b }: Pair,
): Promise<LayerReport> {
  const [rank = 0, inFeatures = 0] = a.shape;
  const [outFeatures = 0] = b.shape;
  const scaling = scalingAt(config, path);
  const [left, right] = [tensorNumbers(await file.read(b.name), b), tensorNumbers(await file.read(a.name), a)];
  const finite = left.every(Number.isFinite) && right.every(Number.isFinite);
  const singularValues = finite
    ? Array.from(
        productSvd({ a: right, b: left, rank, inFeatures, outFeatures }).s,
        (value) => Math.abs(scaling) * value,
      )
    : [];
  return {
    path,
    kind,
    rank,
    inFeatures,
    outFeatures,
    scaling,
    dtype: a.dtype === b.dtype ? a.dtype : `${a.dtype}, ${b.dtype}`,
    parameters: left.length + right.length,
    norm: finite ? Math.hypot(...singularValues) : NaN,
    singularValues,
    effectiveRank: finite ? effectiveRank(singularValues) : NaN,
  };
}
