import { LowrankError } from '@lowrank/errors';
import type { LinearLike } from '@lowrank/nn';
import type { QuantizationSettings } from '@lowrank/quant';
import { checkSettings, findQuantized, parseQuantizationConfig, QuantizedLinear } from '@lowrank/quant';
import type { SafetensorsFile } from '@lowrank/safetensors';
import type { Backend } from '@lowrank/tensor';
import { tensor } from '@lowrank/tensor';
import { sourceOf } from '@lowrank/tensor/op';
import type { CausalModel } from './causalModel.js';
import { ConfigReader } from './config.js';
import type { ModelFiles } from './files.js';
import { openWeights, readJson } from './files.js';
import type { Placement } from './placement.js';
import { placeCodes, placeDense, placeStored, quantizes } from './placement.js';
import { familyOf } from './registry.js';
import type { WeightRequest } from './weights.js';
import { weightSource } from './weights.js';

export interface LoadOptions {
  /** Called as tensors arrive: bytes so far and in all. */
  readonly onProgress?: (progress: {
    readonly bytes: number;
    readonly totalBytes: number;
    readonly tensor: string;
  }) => void;
  /** Widen 16-bit matrices to f32: what training them needs. */
  readonly widen?: boolean;
  /**
   * Quantizes the matrices of linear layers as they arrive: what is whole on the host is a piece of one matrix, and its
   * codes.
   */
  readonly quantization?: QuantizationSettings | undefined;
  /**
   * Where the weights go as they arrive, so that the host never holds the model; it is opened when all names and shapes
   * are known to fit. Without it they stay on the host until they are first used.
   */
  readonly backend?: (() => Promise<Backend>) | undefined;
}

/**
 * Loads a model in Hugging Face's layout: config.json and model.safetensors, or shards with
 * model.safetensors.index.json. Matrices keep their 16 bits, unless they are quantized; vectors become f32.
 *
 * @throws LowrankError `models.config`, `models.unknownType`, `models.weights` (missing, unexpected and misshapen
 * weights, listed), `models.noFile`, and the codes of safetensors and quant
 */
export async function loadModel(files: ModelFiles, options: LoadOptions = {}): Promise<CausalModel> {
  const { model, weights, placements } = await placeModel(files, options);
  const backend = await options.backend?.();
  await fill(weights, placements, { ...options, backend });
  return model;
}

/**
 * The model of a folder without its weights: names and shapes of what is stored are compared with what the model calls
 * for, as `loadModel` compares them, and nothing else is read. Its tensors hold nothing and cost nothing until they are
 * used: enough to see whether an adapter fits.
 *
 * @throws LowrankError as loadModel
 */
export async function outlineFolder(files: ModelFiles): Promise<CausalModel> {
  return (await placeModel(files, {})).model;
}

interface PlacedModel {
  readonly model: CausalModel;
  readonly weights: SafetensorsFile;
  /** Where its weights go, all of them known to be there and to fit. */
  readonly placements: readonly Placement[];
}

async function placeModel(files: ModelFiles, options: LoadOptions): Promise<PlacedModel> {
  const config = new ConfigReader(await readJson(files, 'config.json'), `${files.name}/config.json`);
  const family = familyOf(config);
  const settings = checkedQuantization(config, options);
  const opened = await openWeights(files);
  const weights = family.weights(opened);
  const stored = await findQuantized(weights);
  const placements = new Map<string, Placement>();
  const keep = <P extends Placement>(placement: P): P => {
    placements.set(placement.request.name, placement);
    return placement;
  };
  const model = family.build(
    config,
    weightSource({
      tensor: (request) => keep(placeDense(request, weights.tensors.get(request.name)?.dtype, options)).tensor,
      linear(request, bias): LinearLike | undefined {
        const found = stored.get(request.name);
        if (found !== undefined) return new QuantizedLinear(keep(placeStored(request, found)).matrix, bias());
        if (settings === undefined || !quantizes(settings, request)) return undefined;
        return new QuantizedLinear(keep(placeCodes(request, settings)).matrix, bias());
      },
    }),
  );
  const all = [...placements.values()];
  checkWeights({ weights, outputName: `${model.outputPath}.weight`, folder: files.name }, all);
  return { model, weights, placements: all };
}

/** How linear layers are to be quantized that are not stored so. */
function checkedQuantization(
  config: ConfigReader,
  { quantization, widen }: LoadOptions,
): QuantizationSettings | undefined {
  const quantized = config.raw('quantization_config');
  if (quantized !== undefined) {
    const { type } = parseQuantizationConfig(quantized, config.name);
    const asked =
      quantization !== undefined
        ? `quantization to ${quantization.type}`
        : widen === true
          ? 'weights in f32'
          : undefined;
    if (asked === undefined) return undefined;
    throw new LowrankError({
      code: 'models.quantized',
      what: asked,
      expected: 'a model whose weights are dense',
      got: `weights that ${config.name} says are ${type} already`,
      remedy: 'Leave it out, or take the model that was quantized.',
    });
  }
  if (quantization !== undefined) checkSettings(quantization);
  return quantization;
}

export interface StoredWeights {
  readonly file: SafetensorsFile;
  /**
   * Where the model has a stored tensor: its name, mostly. Undefined for what is none of the model's business, such as
   * the image tower of a model that reads text alone.
   */
  readonly pathOf: (name: string) => string | undefined;
}

/** A folder's weights as they are stored, and their paths in the model: for those who write them again. */
export async function openModelWeights(files: ModelFiles): Promise<StoredWeights> {
  const family = familyOf(new ConfigReader(await readJson(files, 'config.json'), `${files.name}/config.json`));
  const file = await openWeights(files);
  const paths = new Map([...family.weights(file).tensors].map(([path, { name }]) => [name, path]));
  return { file, pathOf: (name) => paths.get(name) };
}

function checkWeights(
  { weights, outputName, folder }: { weights: SafetensorsFile; outputName: string; folder: string },
  placements: readonly Placement[],
): void {
  const problems: string[] = [];
  const asked = new Set(placements.flatMap(({ tensors }) => tensors));
  for (const { request, storedShape: shape, quantized } of placements) {
    const { name } = request;
    const info = weights.tensors.get(name);
    if (info === undefined) problems.push(`missing: ${name} [${shape.join(', ')}]`);
    else if (quantized !== undefined) {
      if (quantized.join() !== request.shape.join())
        problems.push(
          `misshapen: ${name} is [${quantized.join(', ')}] in codes, expected [${request.shape.join(', ')}]`,
        );
    } else if (info.shape.join() !== shape.join())
      problems.push(`misshapen: ${name} is [${info.shape.join(', ')}], expected [${shape.join(', ')}]`);
    else if (!['F32', 'F16', 'BF16'].includes(info.dtype))
      problems.push(`dtype: ${name} is ${info.dtype}, expected F32, F16 or BF16`);
  }
  // A tied output projection may be stored all the same, and old checkpoints hold tables that the code makes itself.
  for (const name of weights.tensors.keys())
    if (!asked.has(name) && name !== outputName && !name.endsWith('.rotary_emb.inv_freq'))
      problems.push(`unexpected: ${name}`);
  if (problems.length === 0) return;
  const shown = problems.slice(0, 10).join('; ');
  throw new LowrankError({
    code: 'models.weights',
    what: `the weights of ${folder}`,
    expected: `the ${asked.size} tensors that its config.json calls for`,
    got: problems.length > 10 ? `${shown}; and ${problems.length - 10} more` : shown,
    remedy: 'Check that config.json and the safetensors files belong together.',
  });
}

/** A device holds on to the host's copy of what is written to it until it has taken it: so often it is waited for. */
const uploadWindow = 64 * 2 ** 20;

async function fill(
  weights: SafetensorsFile,
  placements: readonly Placement[],
  { onProgress, backend }: Pick<LoadOptions, 'onProgress'> & { backend: Backend | undefined },
): Promise<void> {
  const bytesOf = ({ tensors }: Placement): number =>
    tensors.reduce((sum, name) => sum + (weights.tensors.get(name)?.byteLength ?? 0), 0);
  const byName = new Map(placements.map((placement) => [placement.request.name, placement]));
  const totalBytes = placements.reduce((sum, placement) => sum + bytesOf(placement), 0);
  let bytes = 0;
  let uploaded = 0;
  // In the order of the file, so that disks and networks read forward.
  for (const [name, info] of weights.tensors) {
    const placement = byName.get(name);
    if (placement === undefined) continue;
    if (backend !== undefined) placement.parts.forEach((part) => sourceOf(part).on(backend));
    await placement.fill(weights, info);
    bytes += bytesOf(placement);
    uploaded += bytesOf(placement);
    if (uploaded >= uploadWindow) {
      await backend?.finish();
      uploaded = 0;
    }
    onProgress?.({ bytes, totalBytes, tensor: name });
  }
}

/** A model with fresh weights, which `initialize` makes by name and shape: to train from nothing. */
export function createModel(
  config: Readonly<Record<string, unknown>>,
  initialize: (request: WeightRequest) => Float32Array,
  name = 'config.json',
): CausalModel {
  const reader = new ConfigReader(config, name);
  return familyOf(reader).build(
    reader,
    weightSource({ tensor: (request) => tensor(initialize(request), request.shape, { name: request.name }) }),
  );
}
