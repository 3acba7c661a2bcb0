import { LowrankError } from '@lowrank/errors';
import { fromNumbers } from '@lowrank/tensor';
import { firstNotFinite } from '@lowrank/tensor/op';
import type { ByteSource, TensorEntry, TensorInfo } from '@lowrank/safetensors';
import { bytesSource, openSafetensors, safetensorsBytes, serializeSafetensors } from '@lowrank/safetensors';
import { isOutsideLayers, plainNames, prefix, tableName, tableSuffix } from './adapterKeys.js';
import { parseAdapterConfig, serializeAdapterConfig, settingWarnings } from './adapterConfig.js';
import type { LoraConfig } from './config.js';
import { tensorNumbers } from './tensorNumbers.js';
import type { TrainedRows } from './trainedTokens.js';
import type { NamedVariant } from './variant.js';
import { variantOf } from './variants/index.js';

/** The A and B of one layer, on the host. Of an embedding, `inFeatures` is the vocabulary's size. */
export interface LoraMatrices {
  /** [r, in] */
  readonly a: Float32Array;
  /** [out, r] */
  readonly b: Float32Array;
  readonly rank: number;
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** They belong to an embedding, and go by PEFT's names for that. */
  readonly embedding?: boolean | undefined;
  /** [out], of B: with `loraBias`. */
  readonly bias?: Float32Array | undefined;
  /** [out]: what the configuration's variant trains beside A and B, such as DoRA's magnitudes. */
  readonly vector?: Float32Array | undefined;
}

/** An adapter as PEFT keeps it: its configuration, and matrices by the path of the layer they adapt. */
export interface LoraAdapter {
  readonly config: LoraConfig;
  readonly layers: ReadonlyMap<string, LoraMatrices>;
  /**
   * Tensors saved whole, by name: those of the modules in `modulesToSave`, an adapted embedding's or output
   * projection's own table (`<path>.base_layer.weight`), which PEFT saves along, biases of the base that were trained
   * (`<path>.bias`, of adapted layers `<path>.base_layer.bias`), and a classifier's head, for which a language model
   * has no place.
   */
  readonly whole?: ReadonlyMap<string, WholeTensor> | undefined;
  /**
   * Trained token rows by the path of the embedding or output projection; which tokens they are the configuration says.
   */
  readonly tokens?: ReadonlyMap<string, TrainedRows> | undefined;
  /** What of its configuration was left aside, as sentences for people. */
  readonly warnings?: readonly string[] | undefined;
}

/** A tensor as a file holds it. */
export interface WholeTensor {
  readonly dtype: TensorEntry['dtype'];
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/**
 * What PEFT saves whole for its classification tasks, `modules_to_save` or not (PeftModelForSequenceClassification).
 */
const heads: Readonly<Record<string, RegExp>> = {
  SEQ_CLS: /(^|\.)(classifier|score)\./,
  TOKEN_CLS: /(^|\.)(classifier|score)\./,
};

/** The files of an adapter that hold numbers, by name. */
export type LoraAdapterFiles = Readonly<Record<'adapter_config.json' | 'adapter_model.safetensors', Uint8Array>>;

/** Reads an adapter from its files' bytes, as `serializeAdapter` makes them. @throws LowrankError as `readAdapter` does */
export async function readAdapterFiles(
  files: LoraAdapterFiles,
  {
    name = 'adapter',
    variants,
  }: { readonly name?: string; readonly variants?: readonly NamedVariant[] | undefined } = {},
): Promise<LoraAdapter> {
  const config = JSON.parse(new TextDecoder().decode(files['adapter_config.json'])) as unknown;
  return readAdapter({ config, weights: bytesSource(files['adapter_model.safetensors']), name, variants });
}

/**
 * Reads an adapter in PEFT's format.
 *
 * @param variants of one's own that it may have been trained with
 * @throws LowrankError `lora.adapterConfig`, `lora.keys` (keys that belong to no LoRA of a linear layer, or halves that
 * miss each other), `lora.shape`, `lora.notFinite`, and safetensors' codes
 */
export async function readAdapter({
  config,
  weights,
  name,
  variants,
}: {
  config: unknown;
  weights: ByteSource;
  name: string;
  variants?: readonly NamedVariant[] | undefined;
}): Promise<LoraAdapter> {
  const parsed = parseAdapterConfig(config, `${name}/adapter_config.json`, variants);
  const file = await openSafetensors(weights);
  const vectorName = variantOf(parsed).vector;
  const halves = new Map<string, Partial<Record<Part, Half>>>();
  const whole = new Map<string, WholeTensor>();
  const tokens = new Map<string, TrainedRows>();
  const strange: string[] = [];
  const names = plainNames(file.tensors.keys());
  const numbers = async (info: TensorInfo): Promise<Float32Array> =>
    finiteNumbers(tensorNumbers(await file.read(info.name), info), info);
  for (const [key, info] of file.tensors) {
    const name = names.get(key);
    if (name === undefined) continue;
    const ofTokens = tokenPath(name, parsed);
    if (ofTokens !== undefined && info.shape.length === 2) {
      tokens.set(ofTokens, { rows: await numbers(info), width: info.shape[1] ?? 0 });
      continue;
    }
    const saved = name === key ? undefined : isWhole(name, parsed) ? name : resizedTable(name, info);
    if (saved !== undefined) {
      whole.set(saved, await wholeTensor(info, await file.read(key), numbers));
      continue;
    }
    const known = name === key ? undefined : partOf(name, vectorName);
    const wanted =
      known !== undefined &&
      info.shape.length === (known.part === 'A' || known.part === 'B' ? 2 : 1) &&
      (known.part !== 'bias' || parsed.loraBias === true);
    if (known === undefined || !wanted || halves.get(known.path)?.[known.part] !== undefined) {
      strange.push(`${key} [${info.shape.join(', ')}]`);
      continue;
    }
    const entry = halves.get(known.path) ?? {};
    entry[known.part] = {
      data: await numbers(info),
      shape: info.shape,
      embedding: known.embedding,
    };
    halves.set(known.path, entry);
  }
  for (const name of whole.keys()) {
    if (!name.endsWith(tableSuffix)) continue;
    const adapted = halves.get(name.slice(0, -tableSuffix.length))?.A;
    if (adapted?.embedding !== true && !isOutsideLayers(name)) strange.push(`${prefix}${name}`);
  }
  if (strange.length > 0 || (halves.size === 0 && tokens.size === 0)) {
    throw new LowrankError({
      code: 'lora.keys',
      what: file.name,
      expected:
        'keys of the form base_model.model.<path>.lora_A.weight and .lora_B.weight, or .lora_embedding_A and ' +
        '.lora_embedding_B',
      got: strange.length === 0 ? 'no tensors' : list(strange),
      remedy: 'Save the adapter with PEFT or Lowrank. What its configuration says has to go with its tensors.',
    });
  }
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

/** A table of the base that PEFT saved since its vocabulary was resized, with nothing else at its module. */
function resizedTable(name: string, { shape }: TensorInfo): string | undefined {
  return name.endsWith('.weight') && !name.includes('.lora_') && shape.length === 2 && isOutsideLayers(name)
    ? name.replace(/\.weight$/, tableSuffix)
    : undefined;
}

/** A tensor as it is stored; 64-bit numbers become f32, as PEFT loads them into a model in f32. */
async function wholeTensor(
  info: TensorInfo,
  bytes: Uint8Array,
  numbers: (info: TensorInfo) => Promise<Float32Array>,
): Promise<WholeTensor> {
  const { dtype, shape } = info;
  if (dtype === 'F64')
    return { dtype: 'F32', shape, data: new Uint8Array((await numbers(info)).buffer as ArrayBuffer) };
  if (['F32', 'F16', 'BF16'].includes(dtype)) await numbers(info);
  return { dtype, shape, data: new Uint8Array(bytes) };
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

const tokensName = { tokensAlone: '.trainable_tokens_delta', beside: '.token_adapter.trainable_tokens_delta' };

function tokensSuffix({ peftType }: LoraConfig): string {
  return peftType === 'TRAINABLE_TOKENS' ? tokensName.tokensAlone : tokensName.beside;
}

/** The module whose token rows a name means, where the configuration has any. */
function tokenPath(name: string, config: LoraConfig): string | undefined {
  const suffix = tokensSuffix(config);
  return config.trainableTokenIndices !== undefined && name.endsWith(suffix)
    ? name.slice(0, -suffix.length)
    : undefined;
}

interface Half {
  readonly data: Float32Array;
  readonly shape: readonly number[];
  readonly embedding: boolean;
}

type Part = 'A' | 'B' | 'bias' | 'vector';

/** What of an adapted layer a name without PEFT's prefix means. */
function partOf(
  name: string,
  vectorName: string | undefined,
): { path: string; part: Part; embedding: boolean } | undefined {
  const [, path, ofEmbedding, half, suffix] = /^(.+)\.lora_(embedding_)?([AB])(\.weight|\.bias)?$/.exec(name) ?? [];
  if (path === undefined) {
    const end = `.${vectorName}`;
    return vectorName !== undefined && name.endsWith(end)
      ? { path: name.slice(0, -end.length), part: 'vector', embedding: false }
      : undefined;
  }
  const embedding = ofEmbedding !== undefined;
  if (suffix === '.bias') return half === 'B' && !embedding ? { path, part: 'bias', embedding } : undefined;
  return (suffix === undefined) === embedding && (half === 'A' || half === 'B')
    ? { path, part: half, embedding }
    : undefined;
}

function isWhole(
  name: string,
  { taskType = '', bias = 'none', modulesToSave = [], ensureWeightTying = false }: LoraConfig,
): boolean {
  if (name.includes('.lora_')) return false;
  const module = name.slice(0, name.lastIndexOf('.'));
  // PEFT goes by the end of a module's path; what is saved may lie below it.
  if (
    modulesToSave.some((saved) => ancestors(module).some((path) => path.endsWith(saved))) ||
    (ensureWeightTying && modulesToSave.length > 0 && name.endsWith('.weight') && isOutsideLayers(name))
  )
    return true;
  return (
    heads[taskType]?.test(name) === true ||
    name.endsWith('.base_layer.weight') ||
    (bias === 'lora_only' && name.endsWith('.base_layer.bias')) ||
    (bias === 'all' && name.endsWith('.bias'))
  );
}

/** A path and all that it lies in. */
function ancestors(path: string): string[] {
  const names = path.split('.');
  return names.map((_, at) => names.slice(0, at + 1).join('.'));
}

function paired({
  path,
  parts: { A, B, bias, vector },
  config,
  file,
}: {
  path: string;
  parts: Partial<Record<Part, Half>>;
  config: LoraConfig;
  file: string;
}): LoraMatrices {
  if (A === undefined || B === undefined || A.embedding !== B.embedding) {
    const got =
      A !== undefined && B !== undefined
        ? 'one of a linear layer, one of an embedding'
        : A === undefined && B === undefined
          ? 'neither'
          : `only lora_${A === undefined ? 'B' : 'A'}`;
    throw new LowrankError({
      code: 'lora.keys',
      what: `${prefix}${path} in ${file}`,
      expected: 'lora_A and lora_B',
      got,
      remedy: 'The file is incomplete: save or download it again.',
    });
  }
  const [rank = 0, inFeatures = 0] = A.shape;
  const [outFeatures = 0, rankB] = B.shape;
  if (rank !== rankB || rank === 0)
    throw new LowrankError({
      code: 'lora.shape',
      what: `${prefix}${path} in ${file}`,
      expected: 'A [r, in] and B [out, r] of one rank',
      got: `A [${A.shape.join(', ')}] and B [${B.shape.join(', ')}]`,
    });
  const vectorName = variantOf(config).vector;
  for (const [name, wanted, found] of [
    ['lora_B.bias', config.loraBias === true, bias],
    [vectorName, vectorName !== undefined, vector],
  ] as const) {
    if (!wanted || found?.shape.join() === `${outFeatures}`) continue;
    throw new LowrankError({
      code: found === undefined ? 'lora.keys' : 'lora.shape',
      what: `${prefix}${path} in ${file}`,
      expected: `${name} [${outFeatures}], as its configuration says`,
      got: found === undefined ? 'none' : `[${found.shape.join(', ')}]`,
    });
  }
  return {
    a: A.data,
    b: B.data,
    rank,
    inFeatures,
    outFeatures,
    ...(A.embedding ? { embedding: true } : {}),
    ...(bias === undefined ? {} : { bias: bias.data }),
    ...(vector === undefined ? {} : { vector: vector.data }),
  };
}

function list(items: readonly string[]): string {
  const shown = items.slice(0, 8).join('; ');
  return items.length > 8 ? `${shown}; and ${items.length - 8} more` : shown;
}

export type StoredDtype = 'F32' | 'F16' | 'BF16';

/** The files of a PEFT adapter folder, by name. Matrices are stored in `dtype`, f32 by default. */
export function serializeAdapter(
  { config, layers, whole = new Map(), tokens = new Map() }: LoraAdapter,
  { dtype = 'F32' }: { dtype?: StoredDtype } = {},
): LoraAdapterFiles & Readonly<Record<'README.md', Uint8Array>> {
  const entries: (TensorEntry & { readonly data: Uint8Array })[] = [];
  const vectorName = variantOf(config).vector;
  for (const [path, matrices] of layers) {
    const sizes = {
      ...matrices,
      hasBias: matrices.bias !== undefined,
      vectorName: matrices.vector === undefined ? undefined : vectorName,
    };
    for (const { part, ...entry } of entriesOf(path, sizes, dtype))
      entries.push({ ...entry, data: stored(matrices[part] ?? new Float32Array(), dtype) });
  }
  for (const [name, tensor] of whole) {
    const path = name.replace(/\.base_layer\.weight$/, '');
    const at = { adapted: layers.has(path), rows: tokens.has(path), whole: whole.has(`${path}.weight`) };
    entries.push({ name: `${prefix}${name.endsWith(tableSuffix) ? tableName(name, at) : name}`, ...tensor });
  }
  for (const [path, { rows, width }] of tokens)
    entries.push({
      name: `${prefix}${path}${tokensSuffix(config)}`,
      dtype,
      shape: [rows.length / width, width],
      data: stored(rows, dtype),
    });
  const text = new TextEncoder();
  return {
    'adapter_config.json': text.encode(serializeAdapterConfig(config)),
    'adapter_model.safetensors': serializeSafetensors(entries, { format: 'pt' }),
    'README.md': text.encode(readme(config)),
  };
}

/** The sizes of one layer's matrices. */
export interface LoraSizes extends Pick<LoraMatrices, 'rank' | 'inFeatures' | 'outFeatures' | 'embedding'> {
  readonly hasBias?: boolean | undefined;
  /** PEFT's name of the variant's vector. */
  readonly vectorName?: string | undefined;
}

/**
 * The bytes of adapter_model.safetensors with such matrices, by the path of the layer they adapt: to be known before
 * there are any.
 */
export function adapterFileBytes(
  layers: ReadonlyMap<string, LoraSizes>,
  dtype: StoredDtype = 'F32',
  others: readonly OtherSizes[] = [],
): number {
  return safetensorsBytes(
    [
      ...[...layers].flatMap(([path, sizes]) => entriesOf(path, sizes, dtype)),
      ...others.map(({ name, shape, whole = false }) => ({
        name: `${prefix}${name}`,
        shape,
        dtype: whole ? 'F32' : dtype,
      })),
    ],
    { format: 'pt' },
  );
}

/** A tensor beside the matrices: token rows, or one that is saved whole, which is always in f32. */
export interface OtherSizes {
  readonly name: string;
  readonly shape: readonly number[];
  readonly whole?: boolean | undefined;
}

interface LayerEntry extends Omit<TensorEntry, 'data'> {
  readonly part: 'a' | 'b' | 'bias' | 'vector';
}

function entriesOf(
  path: string,
  { rank, inFeatures, outFeatures, embedding = false, hasBias = false, vectorName }: LoraSizes,
  dtype: StoredDtype,
): readonly LayerEntry[] {
  const entry = (part: LayerEntry['part'], name: string, shape: readonly number[]): LayerEntry => ({
    part,
    name: `${prefix}${path}.${name}`,
    dtype,
    shape,
  });
  const half = (name: 'A' | 'B'): string => (embedding ? `lora_embedding_${name}` : `lora_${name}.weight`);
  return [
    entry('a', half('A'), [rank, inFeatures]),
    ...(hasBias ? [entry('bias', 'lora_B.bias', [outFeatures])] : []),
    entry('b', half('B'), [outFeatures, rank]),
    ...(vectorName === undefined ? [] : [entry('vector', vectorName, [outFeatures])]),
  ];
}

function stored(values: Float32Array, dtype: StoredDtype): Uint8Array {
  const data = dtype === 'F32' ? values : fromNumbers(values, dtype === 'F16' ? 'f16' : 'bf16');
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** PEFT writes a model card beside an adapter; hubs read its header. */
function readme({ baseModel, r, alpha, variant }: LoraConfig): string {
  const base = baseModel === undefined ? '' : `base_model: ${JSON.stringify(baseModel)}\n`;
  return (
    `---\n${base}library_name: peft\ntags:\n- lora\n- lowrank\n---\n\nA LoRA adapter (r = ${r}, alpha = ` +
    `${alpha}), trained with Lowrank. ` +
    `${variant === undefined ? 'It loads with PEFT: `PeftModel.from_pretrained(model, folder)`.' : `Its variant is ${variant.name}, which PEFT does not know.`}\n`
  );
}
