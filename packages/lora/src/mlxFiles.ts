import { LowrankError } from '@lowrank/errors';
import type { TensorEntry } from '@lowrank/safetensors';
import { serializeSafetensors } from '@lowrank/safetensors';
import { scalingAt } from './scaling.js';
import type { LoraAdapter } from './loraAdapter.js';
import { transposed } from './transposed.js';

/** An adapter as mlx-lm takes it up. */
export interface MlxAdapter {
  /** adapters.safetensors: `<path>.lora_a` [in, r] and `<path>.lora_b` [r, out]. */
  readonly weights: Uint8Array;
  /** `lora_parameters` of its configuration; `keys` are paths within a layer. */
  readonly parameters: {
    readonly rank: number;
    readonly scale: number;
    readonly dropout: number;
    readonly keys: readonly string[];
  };
}

/**
 * Writes an adapter for mlx-lm, which multiplies from the other side: y += scale·(x·a)·b, so a = Aᵀ, b = Bᵀ and
 * scale = alpha/r (alpha/√r of rsLoRA). The inverse of {@link readMlxAdapter}.
 *
 * @throws LowrankError `lora.mlxKeys` for what mlx-lm has no words for: several ranks or factors, layers outside the
 * blocks, DoRA, biases, saved modules and token rows
 */
export function mlxFiles({ config, layers, whole, tokens }: LoraAdapter): MlxAdapter {
  const refuse = (got: string): never => {
    throw new LowrankError({
      code: 'lora.mlxKeys',
      what: 'the adapter, for mlx-lm',
      expected: 'plain LoRA of one rank and one factor, on linear layers within the blocks',
      got,
      remedy: 'Merge it (lowrank merge), and take the model.',
    });
  };
  if ((whole?.size ?? 0) > 0 || (tokens?.size ?? 0) > 0) refuse('saved modules or token rows');
  const [first, ...others] = layers;
  if (first === undefined) return refuse('no layers');
  const [firstPath, { rank }] = first;
  const scale = scalingAt(config, firstPath);
  const keys = new Set<string>();
  const entries: (TensorEntry & { readonly data: Uint8Array })[] = [];
  for (const [path, layer] of [first, ...others]) {
    const key = /\.(?:layers|h|blocks)\.\d+\.(.+)$/.exec(path)?.[1] ?? refuse(path);
    if (layer.vector !== undefined || layer.bias !== undefined) refuse(`DoRA or biases, at ${path}`);
    if (layer.rank !== rank) refuse(`ranks ${rank} and ${layer.rank}`);
    if (scalingAt(config, path) !== scale) refuse(`factors ${scale} and ${scalingAt(config, path)}`);
    keys.add(key);
    const { inFeatures, outFeatures } = layer;
    const add = (name: string, shape: [number, number], matrix: Float32Array): void => {
      const data = transposed(matrix, shape[1], shape[0]);
      entries.push({ name: `${path}.${name}`, dtype: 'F32', shape, data: new Uint8Array(data.buffer) });
    };
    add('lora_a', [inFeatures, rank], layer.a);
    add('lora_b', [rank, outFeatures], layer.b);
  }
  return {
    weights: serializeSafetensors(entries, { format: 'mlx' }),
    parameters: { rank, scale, dropout: config.dropout, keys: [...keys].sort() },
  };
}
