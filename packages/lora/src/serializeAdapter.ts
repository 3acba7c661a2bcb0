import { fromNumbers } from '@lowrank/tensor';
import type { TensorEntry } from '@lowrank/safetensors';
import { safetensorsBytes, serializeSafetensors } from '@lowrank/safetensors';
import { serializeAdapterConfig } from './adapterConfig.js';
import { prefix, tableName, tableSuffix } from './adapterKeys.js';
import type { LoraConfig } from './config.js';
import type { LoraAdapter, LoraAdapterFiles, LoraMatrices, StoredDtype } from './loraAdapter.js';
import { tokensSuffix } from './sideTensors.js';
import { variantOf } from './variantOf.js';

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

/** A tensor other than A and B: token rows, or one that is saved whole, which is always in f32. */
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

/** PEFT writes a model card into an adapter's folder; hubs read its header. */
function readme({ baseModel, r, alpha, variant }: LoraConfig): string {
  const base = baseModel === undefined ? '' : `base_model: ${JSON.stringify(baseModel)}\n`;
  const loads =
    variant === undefined
      ? 'It loads with PEFT: `PeftModel.from_pretrained(model, folder)`.'
      : `Its variant is ${variant.name}, which PEFT does not know.`;
  const head = `---\n${base}library_name: peft\ntags:\n- lora\n- lowrank\n---\n`;
  return `${head}\nA LoRA adapter (r = ${r}, alpha = ${alpha}), trained with Lowrank. ${loads}\n`;
}
