import { LowrankError } from '@lowrank/errors';
import { fromNumbers, toFloat32 } from '@lowrank/tensor';
import type { ByteSource, TensorEntry } from '@lowrank/safetensors';
import { openSafetensors, safetensorsBytes, serializeSafetensors } from '@lowrank/safetensors';
import { parseAdapterConfig, serializeAdapterConfig } from './adapterConfig.js';
import type { LoraConfig } from './config.js';

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
}

/** An adapter as PEFT keeps it: its configuration, and matrices by the path of the layer they adapt. */
export interface LoraAdapter {
  readonly config: LoraConfig;
  readonly layers: ReadonlyMap<string, LoraMatrices>;
  /**
   * Tensors saved whole, by name: an adapted embedding's own table (`<path>.base_layer.weight`), which PEFT saves along, and a classifier's head, for which a language model has no place.
   */
  readonly whole?: ReadonlyMap<string, WholeTensor> | undefined;
}

/** A tensor as a file holds it. */
export interface WholeTensor {
  readonly dtype: TensorEntry['dtype'];
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** What PEFT saves whole for its classification tasks, `modules_to_save` or not (PeftModelForSequenceClassification). */
const heads: Readonly<Record<string, RegExp>> = { SEQ_CLS: /(^|\.)(classifier|score)\./, TOKEN_CLS: /(^|\.)(classifier|score)\./ };

const prefix = 'base_model.model.';

/**
 * Reads an adapter in PEFT's format.
 *
 * @throws LowrankError `lora.adapterConfig`, `lora.keys` (keys that belong to no LoRA of a linear layer, or halves that miss each other), `lora.shape`, and safetensors' codes
 */
export async function readAdapter({ config, weights, name }: { config: unknown; weights: ByteSource; name: string }): Promise<LoraAdapter> {
  const parsed = parseAdapterConfig(config, `${name}/adapter_config.json`);
  const file = await openSafetensors(weights);
  const halves = new Map<string, Partial<Record<'A' | 'B', Half>>>();
  const whole = new Map<string, WholeTensor>();
  const strange: string[] = [];
  for (const [key, info] of file.tensors) {
    const name = key.startsWith(prefix) ? key.slice(prefix.length) : '';
    if ((heads[parsed.taskType ?? '']?.test(name) === true || name.endsWith('.base_layer.weight')) && !name.includes('.lora_')) {
      whole.set(name, { dtype: info.dtype, shape: info.shape, data: new Uint8Array(await file.read(key)) });
      continue;
    }
    const match = /^base_model\.model\.(.+)\.lora_(embedding_)?([AB])(\.weight)?$/.exec(key);
    const [, path, ofEmbedding, half, suffix] = match ?? [];
    const embedding = ofEmbedding !== undefined;
    if (path === undefined || (half !== 'A' && half !== 'B') || info.shape.length !== 2 || (suffix === undefined) !== embedding || halves.get(path)?.[half] !== undefined) {
      strange.push(`${key} [${info.shape.join(', ')}]`);
      continue;
    }
    const entry = halves.get(path) ?? {};
    entry[half] = { data: matrix(await file.read(key), info.dtype, key), shape: info.shape, embedding };
    halves.set(path, entry);
  }
  for (const name of whole.keys()) if (name.endsWith('.base_layer.weight') && halves.get(name.replace(/\.base_layer\.weight$/, ''))?.A?.embedding !== true) strange.push(`${prefix}${name}`);
  if (strange.length > 0 || halves.size === 0) {
    throw new LowrankError({ code: 'lora.keys', what: file.name, expected: 'keys of the form base_model.model.<path>.lora_A.weight and .lora_B.weight, or .lora_embedding_A and .lora_embedding_B', got: strange.length === 0 ? 'no tensors' : list(strange), remedy: 'Save the adapter with PEFT or Lowrank; DoRA and saved modules are not supported yet.' });
  }
  const layers = new Map<string, LoraMatrices>();
  for (const [path, { A, B }] of halves) layers.set(path, paired({ path, A, B, file: file.name }));
  return { config: parsed, layers, ...(whole.size > 0 ? { whole } : {}) };
}

interface Half {
  readonly data: Float32Array;
  readonly shape: readonly number[];
  readonly embedding: boolean;
}

function paired({ path, A, B, file }: { path: string; A: Half | undefined; B: Half | undefined; file: string }): LoraMatrices {
  if (A === undefined || B === undefined || A.embedding !== B.embedding) {
    throw new LowrankError({ code: 'lora.keys', what: `${prefix}${path} in ${file}`, expected: 'lora_A and lora_B', got: A !== undefined && B !== undefined ? 'one of a linear layer, one of an embedding' : `only lora_${A === undefined ? 'B' : 'A'}`, remedy: 'The file is incomplete: save or download it again.' });
  }
  const [rank = 0, inFeatures = 0] = A.shape;
  const [outFeatures = 0, rankB] = B.shape;
  if (rank !== rankB || rank === 0) throw new LowrankError({ code: 'lora.shape', what: `${prefix}${path} in ${file}`, expected: 'A [r, in] and B [out, r] of one rank', got: `A [${A.shape.join(', ')}] and B [${B.shape.join(', ')}]` });
  return { a: A.data, b: B.data, rank, inFeatures, outFeatures, ...(A.embedding ? { embedding: true } : {}) };
}

function matrix(bytes: Uint8Array, dtype: string, key: string): Float32Array {
  // A copy in any case: `slice` of Node's Buffer is none.
  const { buffer } = new Uint8Array(bytes);
  if (dtype === 'F32') return new Float32Array(buffer);
  if (dtype === 'F16' || dtype === 'BF16') return toFloat32(new Uint16Array(buffer), dtype === 'F16' ? 'f16' : 'bf16');
  throw new LowrankError({ code: 'lora.dtype', what: key, expected: 'F32, F16 or BF16', got: dtype });
}

function list(items: readonly string[]): string {
  const shown = items.slice(0, 8).join('; ');
  return items.length > 8 ? `${shown}; and ${items.length - 8} more` : shown;
}

export type StoredDtype = 'F32' | 'F16' | 'BF16';

/** The files of a PEFT adapter folder, by name. Matrices are stored in `dtype`, f32 by default. */
export function serializeAdapter({ config, layers, whole = new Map() }: LoraAdapter, { dtype = 'F32' }: { dtype?: StoredDtype } = {}): Record<string, Uint8Array> {
  const entries: (TensorEntry & { readonly data: Uint8Array })[] = [];
  for (const [path, matrices] of layers) {
    const [a, b] = entriesOf(path, matrices, dtype);
    entries.push({ ...a, data: stored(matrices.a, dtype) }, { ...b, data: stored(matrices.b, dtype) });
  }
  for (const [name, tensor] of whole) entries.push({ name: `${prefix}${name}`, ...tensor });
  const text = new TextEncoder();
  return {
    'adapter_config.json': text.encode(serializeAdapterConfig(config)),
    'adapter_model.safetensors': serializeSafetensors(entries, { format: 'pt' }),
    'README.md': text.encode(readme(config)),
  };
}

/** The sizes of one layer's matrices. */
export type LoraSizes = Pick<LoraMatrices, 'rank' | 'inFeatures' | 'outFeatures' | 'embedding'>;

/** The bytes of adapter_model.safetensors with such matrices, by the path of the layer they adapt: to be known before there are any. */
export function adapterFileBytes(layers: ReadonlyMap<string, LoraSizes>, dtype: StoredDtype = 'F32'): number {
  return safetensorsBytes([...layers].flatMap(([path, sizes]) => entriesOf(path, sizes, dtype)), { format: 'pt' });
}

function entriesOf(path: string, { rank, inFeatures, outFeatures, embedding = false }: LoraSizes, dtype: StoredDtype): readonly [a: Omit<TensorEntry, 'data'>, b: Omit<TensorEntry, 'data'>] {
  const name = (half: 'A' | 'B'): string => `${prefix}${path}.${embedding ? `lora_embedding_${half}` : `lora_${half}.weight`}`;
  return [
    { name: name('A'), dtype, shape: [rank, inFeatures] },
    { name: name('B'), dtype, shape: [outFeatures, rank] },
  ];
}

function stored(values: Float32Array, dtype: StoredDtype): Uint8Array {
  const data = dtype === 'F32' ? values : fromNumbers(values, dtype === 'F16' ? 'f16' : 'bf16');
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** PEFT writes a model card beside an adapter; hubs read its header. */
function readme({ baseModel, r, alpha }: LoraConfig): string {
  const base = baseModel === undefined ? '' : `base_model: ${JSON.stringify(baseModel)}\n`;
  return `---\n${base}library_name: peft\ntags:\n- lora\n- lowrank\n---\n\nA LoRA adapter (r = ${r}, alpha = ${alpha}), trained with Lowrank. It loads with PEFT: \`PeftModel.from_pretrained(model, folder)\`.\n`;
}
