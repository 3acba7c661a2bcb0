import { LowrankError, parseJson } from '@lowrank/errors';
import { firstNotFinite } from '@lowrank/tensor/op';
import type { ByteSource, SafetensorsFile, TensorInfo } from '@lowrank/safetensors';
import { bytesSource, openSafetensors } from '@lowrank/safetensors';
import { parseAdapterConfig, settingWarnings } from './adapterConfig.js';
import { isOutsideLayers, plainNames, prefix, tableSuffix } from './adapterKeys.js';
import type { LoraConfig } from './config.js';
import type { Half, LayerPart } from './layerMatrices.js';
import { paired, partOf } from './layerMatrices.js';
import type { LoraAdapter, LoraAdapterFiles, LoraMatrices, WholeTensor } from './loraAdapter.js';
import { isWhole, resizedTable, tokenPath, wholeTensor } from './sideTensors.js';
import { tensorNumbers } from './tensorNumbers.js';
import type { TrainedRows } from './trainedTokens.js';
import type { NamedVariant } from './variant.js';
import { variantOf } from './variantOf.js';

/**
 * Reads an adapter from its files' bytes, as `serializeAdapter` makes them. @throws LowrankError as `readAdapter` does
 */
export async function readAdapterFiles(
  files: LoraAdapterFiles,
  {
    name = 'adapter',
    variants,
  }: { readonly name?: string; readonly variants?: readonly NamedVariant[] | undefined } = {},
): Promise<LoraAdapter> {
  const config = parseJson(new TextDecoder().decode(files['adapter_config.json'])) as unknown;
  return readAdapter({ config, weights: bytesSource(files['adapter_model.safetensors']), name, variants });
}

/** An adapter's configuration and weights, to be read. */
export interface AdapterSourceFiles {
  readonly config: unknown;
  readonly weights: ByteSource;
  /** For errors. */
  readonly name: string;
  /** Variants of your own that it may have been trained with. */
  readonly variants?: readonly NamedVariant[] | undefined;
}

/**
 * Reads an adapter in PEFT's format.
 *
 * @throws LowrankError `lora.adapterConfig`, `lora.keys` (keys that belong to no LoRA of a linear layer, or halves that
 * miss each other), `lora.shape`, `lora.notFinite`, and safetensors' codes
 */
export async function readAdapter({ config, weights, name, variants }: AdapterSourceFiles): Promise<LoraAdapter> {
  const parsed = parseAdapterConfig(config, `${name}/adapter_config.json`, variants);
  const file = await openSafetensors(weights);
  const { halves, whole, tokens, strange } = await sortTensors(file, parsed);
  for (const name of whole.keys()) {
    if (!name.endsWith(tableSuffix)) continue;
    const adapted = halves.get(name.slice(0, -tableSuffix.length))?.A;
    if (adapted?.embedding !== true && !isOutsideLayers(name)) strange.push(`${prefix}${name}`);
  }
  if (strange.length > 0 || (halves.size === 0 && tokens.size === 0)) throw strangeKeys(file, strange);
  const layers = new Map<string, LoraMatrices>();
  for (const [path, parts] of halves) layers.set(path, paired({ path, parts, config: parsed, file: file.name }));
  const warnings = settingWarnings(config as Readonly<Record<string, unknown>>, `${name}/adapter_config.json`);
  return {
    config: parsed,
    layers,
    ...(whole.size > 0 ? { whole } : {}),
    ...(tokens.size > 0 ? { tokens } : {}),
    ...(warnings.length > 0 ? { warnings } : {}),
  };
}

/** The tensors of a file by kind. */
interface SortedTensors {
  readonly halves: Map<string, Partial<Record<LayerPart, Half>>>;
  readonly whole: Map<string, WholeTensor>;
  readonly tokens: Map<string, TrainedRows>;
  /** Keys that belong to nothing. */
  readonly strange: string[];
}

async function sortTensors(file: SafetensorsFile, config: LoraConfig): Promise<SortedTensors> {
  const sorted: SortedTensors = { halves: new Map(), whole: new Map(), tokens: new Map(), strange: [] };
  const names = plainNames(file.tensors.keys());
  const numbers = async (info: TensorInfo): Promise<Float32Array> =>
    finiteNumbers(tensorNumbers(await file.read(info.name), info), info);
  for (const [key, info] of file.tensors) {
    const name = names.get(key);
    if (name === undefined) continue;
    const ofTokens = tokenPath(name, config);
    if (ofTokens !== undefined && info.shape.length === 2) {
      sorted.tokens.set(ofTokens, { rows: await numbers(info), width: info.shape[1] ?? 0 });
      continue;
    }
    const saved = name === key ? undefined : isWhole(name, config) ? name : resizedTable(name, info);
    if (saved !== undefined) sorted.whole.set(saved, await wholeTensor(info, await file.read(key), numbers));
    else await addHalf(sorted, { key, name, info, config, numbers });
  }
  return sorted;
}

interface FoundTensor {
  readonly key: string;
  /** Without PEFT's prefix. */
  readonly name: string;
  readonly info: TensorInfo;
  readonly config: LoraConfig;
  readonly numbers: (info: TensorInfo) => Promise<Float32Array>;
}

async function addHalf(
  { halves, strange }: SortedTensors,
  { key, name, info, config, numbers }: FoundTensor,
): Promise<void> {
  const known = name === key ? undefined : partOf(name, variantOf(config).vector);
  const wanted =
    known !== undefined &&
    info.shape.length === (known.part === 'A' || known.part === 'B' ? 2 : 1) &&
    (known.part !== 'bias' || config.loraBias === true);
  if (known === undefined || !wanted || halves.get(known.path)?.[known.part] !== undefined) {
    strange.push(`${key} [${info.shape.join(', ')}]`);
    return;
  }
  const { path, part, embedding } = known;
  halves.set(path, {
    ...halves.get(path),
    [part]: { data: await numbers(info), shape: info.shape, embedding },
  });
}

function strangeKeys(file: SafetensorsFile, strange: readonly string[]): LowrankError {
  return new LowrankError({
    code: 'lora.keys',
    what: file.name,
    expected:
      'keys of the form base_model.model.<path>.lora_A.weight and .lora_B.weight, or .lora_embedding_A and ' +
      '.lora_embedding_B',
    got: strange.length === 0 ? 'no tensors' : list(strange),
    remedy: 'Save the adapter with PEFT or Lowrank. What its configuration says has to go with its tensors.',
  });
}

/** The same numbers. @throws LowrankError `lora.notFinite` */
function finiteNumbers(values: Float32Array, { name, file }: TensorInfo): Float32Array {
  const at = firstNotFinite(values, 'f32');
  if (at === undefined) return values;
  throw new LowrankError({
    code: 'lora.notFinite',
    what: `${name} in ${file}`,
    expected: 'finite numbers',
    got: `${values[at]} at element ${at}`,
    remedy:
      'The adapter is damaged, or its training diverged: take another copy, or train it with a lower learning rate.',
  });
}

function list(items: readonly string[]): string {
  const shown = items.slice(0, 8).join('; ');
  return items.length > 8 ? `${shown}; and ${items.length - 8} more` : shown;
}
