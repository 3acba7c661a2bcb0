import { LowrankError } from '@lowrank/errors';
import type { LoraAdapter, LoraConfig, LoraMatrices } from '@lowrank/lora';
import { beginsInBase, scalingAt, variantOf } from '@lowrank/lora';
import type { GgufArchitecture, ModelNames } from './architecture.js';
import { modelNames } from './architecture.js';
import type { GgufFile, GgufTensor } from './format.js';
import type { Json } from './json.js';
import { ggufName, interleaveHalves, permutedHeads } from './names.js';

/** What `convertAdapter` needs: a PEFT adapter and facts of its base model. */
export interface AdapterToConvert {
  readonly adapter: LoraAdapter;
  /** config.json of the base model. */
  readonly config: Json;
  /** How llama.cpp knows the base model's family, if it does. */
  readonly architecture: GgufArchitecture | undefined;
  /** general.name */
  readonly name: string;
}

/**
 * A LoRA adapter as llama.cpp's GGUF: the tensors that convert_lora_to_gguf.py makes, equal in name, shape, type (F32)
 * and value.
 *
 * llama.cpp takes B·A alpha/rank times, with one alpha for all and each matrix's own rank. So where s·r is the same
 * everywhere (s is PEFT's factor: plain LoRA with any ranks, rsLoRA with one) that is the alpha, for rsLoRA α·√r;
 * llama.cpp's own converter writes α there, which makes rsLoRA √r times too weak. Where it differs (alpha_pattern,
 * rsLoRA with several ranks) B takes up the difference.
 *
 * @throws LowrankError `gguf.adapter` (DoRA, biases, modules or tables saved whole, token rows, a part of the base),
 * `gguf.architecture`, `gguf.name`, `gguf.shape`, `gguf.tied`
 */
export function convertAdapter({ adapter, config, architecture, name }: AdapterToConvert): GgufFile {
  const names = modelNames(architecture, config);
  refuseBeyondMatrices(adapter);
  refuseTiedOutput(adapter, names, config);
  const { alpha, factorAt } = commonAlpha(adapter);
  const tensors = [...adapter.layers].flatMap(([path, matrices]) => pairOf(path, matrices, factorAt(path), names));
  return {
    metadata: new Map([
      ['general.architecture', { type: 'string', value: names.known.architecture }],
      ['general.type', { type: 'string', value: 'adapter' }],
      ['adapter.type', { type: 'string', value: 'lora' }],
      ['general.name', { type: 'string', value: name }],
      ['adapter.lora.alpha', { type: 'f32', value: alpha }],
      ['general.quantization_version', { type: 'u32', value: 2 }],
    ]),
    tensors,
  };
}

/** llama.cpp takes A and B alone. @throws LowrankError `gguf.adapter` */
function refuseBeyondMatrices(adapter: LoraAdapter): void {
  const beyond = beyondMatrices(adapter.config) ?? savedAlong(adapter);
  if (beyond === undefined) return;
  throw new LowrankError({
    code: 'gguf.adapter',
    what: 'an adapter for llama.cpp',
    expected: 'only A and B',
    got: `one with ${beyond}`,
    remedy: 'Merge the adapter and convert the model.',
  });
}

/** The first setting by which an adapter is more than A and B. */
function beyondMatrices(config: LoraConfig): string | undefined {
  const { modulesToSave, trainableTokenIndices, variant, loraBias = false, bias, init } = config;
  if (modulesToSave !== undefined) return `modules_to_save = ${modulesToSave.join(', ')}`;
  if (trainableTokenIndices !== undefined) return 'trainable_token_indices';
  const named = variant?.name ?? variantOf(config).vector;
  if (named !== undefined) return named;
  if (loraBias) return 'lora_bias';
  if (bias !== 'none') return 'bias';
  return beginsInBase(init) ? init : undefined;
}

/** Tensors of the base that the file holds: a resized table, an embedding that was trained whole. */
function savedAlong({ whole, tokens }: LoraAdapter): string | undefined {
  const names = [...(whole?.keys() ?? []), ...(tokens?.keys() ?? [])];
  if (names.length === 0) return undefined;
  return `${names.slice(0, 3).join(', ')}${names.length > 3 ? ` and ${names.length - 3} more` : ''} of its own`;
}

/** @throws LowrankError `gguf.tied` */
function refuseTiedOutput({ layers }: LoraAdapter, { known }: ModelNames, config: Json): void {
  const output = [...layers.keys()].find((path) => known.tensors[path] === 'output');
  if (output === undefined || (config['tie_word_embeddings'] ?? known.tiesOutput ?? false) !== true) return;
  throw new LowrankError({
    code: 'gguf.tied',
    what: `an adapter on ${output}`,
    expected: 'a model whose output projection is its own',
    got: 'one that it shares with the embedding',
    remedy: 'Merge the adapter and convert the model.',
  });
}

/** One alpha for the file, and by what B of a layer is multiplied where that layer's own alpha differs. */
function commonAlpha({ config, layers }: LoraAdapter): { alpha: number; factorAt: (path: string) => number } {
  const alphas = new Map([...layers].map(([path, { rank }]) => [path, scalingAt(config, path) * rank]));
  const alpha = mostFrequent([...alphas.values()]);
  const factorAt = (path: string): number => {
    const ratio = (alphas.get(path) ?? alpha) / alpha;
    return Math.abs(ratio - 1) < 1e-6 ? 1 : ratio;
  };
  return { alpha, factorAt };
}

/** A and B of a layer as two tensors. */
function pairOf(path: string, matrices: LoraMatrices, factor: number, names: ModelNames): GgufTensor[] {
  const base = `${ggufName(path, names)}.weight`;
  const { a, rank, inFeatures, outFeatures } = matrices;
  const heads = permutedHeads(path, names);
  return [
    { name: `${base}.lora_a`, type: 'F32', shape: [rank, inFeatures], read: () => Promise.resolve(bytesOf(a)) },
    {
      name: `${base}.lora_b`,
      type: 'F32',
      shape: [outFeatures, rank],
      read: () => Promise.resolve(outputSide(matrices, factor, heads)),
    },
  ];
}

function outputSide({ b, rank }: LoraMatrices, factor: number, heads: number | undefined): Uint8Array {
  const scaled = bytesOf(factor === 1 ? b : b.map((value) => value * factor));
  return heads === undefined ? scaled : interleaveHalves(scaled, heads, 4 * rank);
}

const bytesOf = (values: Float32Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

/**
 * The value that most have, so that most matrices stay as they are; values that differ by rounding alone count as one.
 */
function mostFrequent(values: readonly number[]): number {
  const counts = new Map<number, number>();
  for (const value of values.map(Math.fround)) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].reduce((best, entry) => (entry[1] > best[1] ? entry : best), [1, 0] as [number, number])[0];
}
