import { LowrankError, shown } from '@lowrank/errors';
import type { ByteSource, TensorInfo } from '@lowrank/safetensors';
import { openSafetensors } from '@lowrank/safetensors';
import type { LoraAdapter, LoraMatrices } from './loraAdapter.js';
import { exactConfig } from './exactConfig.js';
import { tensorNumbers } from './tensorNumbers.js';
import { transposed } from './transposed.js';

/** The two files of an adapter that mlx-lm trained. */
export interface MlxFiles {
  /** The content of mlx-lm's adapter_config.json. */
  readonly config: unknown;
  /** Its adapters.safetensors. */
  readonly weights: ByteSource;
  /** For errors. */
  readonly name: string;
  /** What the adapter is for; default: the config's `model`, as mlx-lm's run was given it. */
  readonly baseModel?: string | undefined;
}

/** Layers that are embeddings in the models of mlx-lm; their matrices look like those of a linear layer. */
const embeddings =
  /(^|\.)(embed_tokens|wte|wpe|embed_in|word_embeddings|tok_embeddings|token_embedding|embedding|embeddings)$/;

/**
 * Reads an adapter of mlx-lm, which multiplies from the other side: y += scale·(x·a)·b with `<path>.lora_a` [in, r] and
 * `<path>.lora_b` [r, out], so A = aᵀ, B = bᵀ, and alpha = scale·r. Of an embedding, `lora_a` is [vocabulary, r].
 * Layout and factor as in mlx-lm's tuner/lora.py and tuner/utils.py of August 2026 (`LoRALinear`, `LoRAEmbedding`,
 * `load_adapters`). Paths are mlx-lm's own, which for most models are those of transformers; the targets are the paths
 * themselves.
 *
 * @throws LowrankError `lora.mlxConfig`, `lora.mlxKeys` (DoRA, experts, halves that miss each other), `lora.shape`,
 * `lora.dtype`, and safetensors' codes
 */
export async function readMlxAdapter({ config, weights, name, baseModel }: MlxFiles): Promise<LoraAdapter> {
  const { rank, scale, dropout, model } = parseConfig(config, `${name}/adapter_config.json`);
  const file = await openSafetensors(weights);
  const halves = new Map<string, { a?: TensorInfo; b?: TensorInfo }>();
  const strange: string[] = [];
  for (const [key, info] of file.tensors) {
    const [, path, half] = /^(.+)\.lora_([ab])$/.exec(key) ?? [];
    if (path === undefined || info.shape.length !== 2) {
      strange.push(`${key} [${info.shape.join(', ')}]`);
      continue;
    }
    halves.set(path, { ...halves.get(path), [half === 'a' ? 'a' : 'b']: info });
  }
  if (strange.length > 0 || halves.size === 0)
    throw new LowrankError({
      code: 'lora.mlxKeys',
      what: file.name,
      expected: 'matrices <path>.lora_a [in, r] and <path>.lora_b [r, out]',
      got: strange.length === 0 ? 'no tensors' : strange.slice(0, 8).join('; '),
      remedy: 'LoRA of linear layers and embeddings is read; DoRA, experts and full fine-tunes are not.',
    });
  const layers = new Map<string, LoraMatrices>();
  for (const [path, { a, b }] of halves) {
    if (a === undefined || b === undefined)
      throw new LowrankError({
        code: 'lora.mlxKeys',
        what: `${path} in ${file.name}`,
        expected: 'lora_a and lora_b',
        got: `only lora_${a === undefined ? 'b' : 'a'}`,
        remedy: 'The file is incomplete: save or copy it again.',
      });
    const [inFeatures = 0, rankA] = a.shape;
    const [rankB, outFeatures = 0] = b.shape;
    if (rankA !== rank || rankB !== rank)
      throw new LowrankError({
        code: 'lora.shape',
        what: `${path} in ${file.name}`,
        expected: `lora_a [in, ${rank}] and lora_b [${rank}, out], as adapter_config.json says`,
        got: `[${a.shape.join(', ')}] and [${b.shape.join(', ')}]`,
      });
    layers.set(path, {
      a: transposed(tensorNumbers(await file.read(a.name), a), inFeatures, rank),
      b: transposed(tensorNumbers(await file.read(b.name), b), rank, outFeatures),
      rank,
      inFeatures,
      outFeatures,
      ...(embeddings.test(path) ? { embedding: true } : {}),
    });
  }
  return {
    config: exactConfig(layers, scale, { dropout, baseModel: baseModel ?? model, taskType: 'CAUSAL_LM' }),
    layers,
  };
}

interface MlxConfig {
  readonly rank: number;
  readonly scale: number;
  readonly dropout: number;
  readonly model: string | undefined;
}

function parseConfig(json: unknown, name: string): MlxConfig {
  const fail = (key: string, expected: string, got: unknown, remedy?: string): never => {
    throw new LowrankError({
      code: 'lora.mlxConfig',
      what: `${key} in ${name}`,
      expected,
      got: shown(got),
      remedy,
    });
  };
  if (!isObject(json)) return fail('the content', 'a JSON object', json);
  if ('peft_type' in json)
    fail(
      'the content',
      "mlx-lm's configuration",
      { peft_type: json['peft_type'] },
      'This is an adapter of PEFT, which needs no conversion.',
    );
  const type = json['fine_tune_type'] ?? 'lora';
  if (type !== 'lora') fail('fine_tune_type', '"lora"', type, 'Fuse it in mlx-lm (mlx_lm.fuse), and take the model.');
  const given = json['lora_parameters'];
  if (!isObject(given)) return fail('lora_parameters', 'an object with rank and scale', given);
  const number = (key: string, fits: (value: number) => boolean, expected: string): number => {
    const value = given[key];
    return typeof value === 'number' && fits(value) ? value : fail(`lora_parameters.${key}`, expected, value);
  };
  const rank = number('rank', (value) => Number.isInteger(value) && value >= 1, 'a whole number of at least 1');
  const scale = number('scale', Number.isFinite, 'a finite number');
  const alpha = given['alpha'];
  // Up to May 2024 the factor was scale·alpha/rank; then alpha stayed in configurations for a while and did nothing.
  // Those of the first kind call the layers so.
  if ('lora_layers' in json && typeof alpha === 'number' && alpha !== rank)
    fail(
      'lora_parameters.alpha',
      'none',
      alpha,
      'Versions of mlx-lm took it in two ways. If the adapter was made before June 2024, set scale to ' +
        `${(scale * alpha) / rank}; then rename lora_layers to num_layers.`,
    );
  return {
    rank,
    scale,
    dropout: typeof given['dropout'] === 'number' ? given['dropout'] : 0,
    model: typeof json['model'] === 'string' ? json['model'] : undefined,
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
