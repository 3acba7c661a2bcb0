import { LowrankError } from '@lowrank/errors';
import type { LinearLike } from '@lowrank/nn';
import type { QuantizationSettings } from '@lowrank/quant';
import { checkSettings, findQuantized, parseQuantizationConfig, QuantizedLinear } from '@lowrank/quant';
import type { SafetensorsFile } from '@lowrank/safetensors';
import type { Backend } from '@lowrank/tensor';
import { fromNumbers } from '@lowrank/tensor';
import { unlistedKey, unlistedKeys } from '@lowrank/settings';
import { sourceOf } from '@lowrank/tensor/op';
import type { CausalModel } from './causalModel.js';
import { freshValues } from './freshWeights.js';
import type { ModelFamily } from './family.js';
import type { HeadRequest } from './head.js';
import { TaskModel } from './taskModel.js';
import type { TextModel } from './textModel.js';
import type { ConfigReader } from './config.js';
import { configKeysOf } from './configKeys.js';
import type { ModelFiles } from './files.js';
import { openModelFolder } from './modelFolder.js';
import type { Placement } from './placement.js';
import { denseDtype, placeBlocks, placeCodes, placeDense, placeStored, quantizes, tableSettings } from './placement.js';
import { codesIn, denseCodes, storedBytes } from './storedCodes.js';
import type { WeightSource } from './weights.js';
import { weightSource } from './weights.js';

/** Options of `loadCausalModel`: progress, quantization, dtypes. */
export interface LoadOptions {
  /** Called as tensors arrive: bytes so far and in all. */
  readonly onProgress?: (progress: {
    readonly bytes: number;
    readonly totalBytes: number;
    readonly tensor: string;
  }) => void;
  /** Gets a sentence for what is left out, such as the value head of a reinforcement learner. */
  readonly onWarning?: ((text: string) => void) | undefined;
  /** Widen 16-bit matrices to f32: what training them needs. */
  readonly widen?: boolean;
  /**
   * Quantizes the matrices of linear layers as they arrive: what is whole on the host is a piece of one matrix, and its
   * codes.
   */
  readonly quantization?: QuantizationSettings | undefined;
  /** Keeps the embedding of tokens and the output projection in 8-bit rows: neither can be trained then. */
  readonly quantizeEmbeddings?: boolean | undefined;
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
export async function loadCausalModel(files: ModelFiles, options: LoadOptions = {}): Promise<CausalModel> {
  const { model, weights, placements } = await placeModel(files, options, makeCausal);
  const backend = await options.backend?.();
  await fill(weights, placements, { ...options, backend });
  return model;
}

/**
 * The model of a folder without its weights. Compares the names and shapes of the stored tensors with what the model
 * calls for, as `loadCausalModel` does, and reads nothing else. The model's tensors hold nothing and cost nothing until
 * they are used: enough to see whether an adapter fits.
 *
 * @throws LowrankError as `loadCausalModel`
 */
export async function outlineFolder(files: ModelFiles): Promise<CausalModel> {
  return (await placeModel(files, {}, makeCausal)).model;
}

/**
 * Loads a model with the head of a task: of a checkpoint without that head (or with one of another number of labels)
 * its weights are new, normal numbers as the config's `initializer_range` says, and `model.fresh` names them.
 *
 * @throws LowrankError as `loadCausalModel`, and `models.head` for a head that the family does not have
 */
export async function loadTaskModel(
  files: ModelFiles,
  request: HeadRequest,
  options: LoadOptions = {},
): Promise<TaskModel> {
  const { model, weights, placements } = await placeModel(files, options, makeTask(request));
  const backend = await options.backend?.();
  await fill(weights, placements, { ...options, backend });
  return model;
}

/** The same without weights, as `outlineFolder`. */
export async function outlineTaskFolder(files: ModelFiles, request: HeadRequest): Promise<TaskModel> {
  return (await placeModel(files, {}, makeTask(request))).model;
}

/** How a family makes the model that is asked for. */
type Make<Model extends TextModel> = (family: ModelFamily, config: ConfigReader, weights: WeightSource) => Model;

const makeCausal: Make<CausalModel> = (family, config, weights) => family.build(config, weights);

function makeTask(request: HeadRequest): Make<TaskModel> {
  return (family, config, weights) => family.buildTask(config, weights, request);
}

interface PlacedModel<Model extends TextModel> {
  readonly model: Model;
  readonly weights: SafetensorsFile;
  /** Where its weights go, all of them known to be there and to fit. */
  readonly placements: readonly Placement[];
}

async function placeModel<Model extends TextModel>(
  files: ModelFiles,
  options: LoadOptions,
  make: Make<Model>,
): Promise<PlacedModel<Model>> {
  const { config, family, json, weights } = await openModelFolder(files);
  files.warnings?.forEach((text) => options.onWarning?.(text));
  for (const key of unlistedKeys(json, configKeysOf(family)))
    options.onWarning?.(`${files.name}: ${unlistedKey(key, 'config.json')}`);
  const settings = checkedQuantization(config, options);
  const stored = await findQuantized(weights);
  const placements = new Map<string, Placement>();
  const keep = <P extends Placement>(placement: P): P => {
    placements.set(placement.request.name, placement);
    return placement;
  };
  const model = make(
    family,
    config,
    weightSource({
      tensor: (request) => keep(placeDense(request, weights.tensors.get(request.name)?.dtype, options)).tensor,
      linear(request, bias): LinearLike | undefined {
        const found = stored.get(request.name);
        if (found !== undefined) return new QuantizedLinear(keep(placeStored(request, found)).matrix, bias());
        const codes = codesIn(weights, request);
        if (codes !== undefined && settings === undefined && options.widen !== true)
          return new QuantizedLinear(keep(placeBlocks(request, codes)).matrix, bias());
        if (settings === undefined || !quantizes(settings, request)) return undefined;
        return new QuantizedLinear(keep(placeCodes(request, settings)).matrix, bias());
      },
      table(request) {
        if (options.quantizeEmbeddings !== true) return undefined;
        const dtype = denseDtype(request, weights.tensors.get(request.name)?.dtype, options);
        return { matrix: keep(placeCodes(request, tableSettings)).matrix, dtype };
      },
    }),
  );
  const anew = model instanceof TaskModel ? beginAnew(placements, { model, weights, config }) : [];
  const all = [...placements.values()];
  const extra = checkWeights({ weights, model, folder: files.name, anew }, all);
  const dense = denseCodes(weights, all);
  if (dense !== undefined) options.onWarning?.(`${files.name}: ${dense}`);
  if (extra.length > 0)
    options.onWarning?.(
      `${files.name}: the model has no place for ${listed(extra)}, which ${extra.length === 1 ? 'is' : 'are'} left out`,
    );
  return { model, weights, placements: all };
}

/**
 * Of a model with a head: leaves out what it does without, and begins anew what no fitting weights are stored for, such
 * as a head for other labels. @returns the names of these
 */
function beginAnew(
  placements: Map<string, Placement>,
  { model, weights, config }: Pick<PlacedModel<TaskModel>, 'model' | 'weights'> & { readonly config: ConfigReader },
): readonly string[] {
  const fresh: string[] = [];
  for (const [name, { request, storedShape, parts }] of placements) {
    const [part] = parts;
    if (model.leavesOut(name)) placements.delete(name);
    else if (
      part !== undefined &&
      model.mayBeFresh(name) &&
      weights.tensors.get(name)?.shape.join() !== storedShape.join()
    ) {
      const values = freshValues(request, { config, seed: model.request.seed });
      sourceOf(part).write(fromNumbers(values, part.dtype));
      placements.delete(name);
      fresh.push(name);
    }
  }
  model.fresh = model.modulesOf(fresh);
  return fresh;
}

/** mlx-lm writes how it quantized under a key of its own, and for newer readers under transformers' too. */
function refuseMlx(config: ConfigReader): void {
  const mlx = config.raw('quantization');
  if (typeof mlx !== 'object' || mlx === null || !('group_size' in mlx)) return;
  const bits = 'bits' in mlx && typeof mlx.bits === 'number' ? mlx.bits : 'few';
  throw new LowrankError({
    code: 'models.mlx',
    what: config.name,
    expected: 'weights in 32 or 16 bits, or codes of bitsandbytes',
    got: `weights that mlx quantized to ${bits} bits`,
    remedy: 'Use the model that it was made from, or dequantize it: mlx_lm.convert --dequantize.',
  });
}

/** How to quantize linear layers that are stored in floats. */
function checkedQuantization(
  config: ConfigReader,
  { quantization, widen }: LoadOptions,
): QuantizationSettings | undefined {
  refuseMlx(config);
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
      remedy: 'Leave it out, or use the model before quantization.',
    });
  }
  if (quantization !== undefined) checkSettings(quantization);
  return quantization;
}

/** A model's weights in files, before any is read. */
export interface StoredWeights {
  /** config.json, with `tie_word_embeddings` as the weights have it. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Whether the weights overrule config.json there. */
  readonly ownOutput: boolean;
  readonly file: SafetensorsFile;
  /**
   * Where the model has a stored tensor: its name, mostly. Undefined for what the model does not use, such as the
   * image tower of a model that reads text alone.
   */
  readonly pathOf: (name: string) => string | undefined;
}

/** A folder's weights as they are stored, and their paths in the model: for those who write them again. */
export async function openModelWeights(files: ModelFiles, model?: TextModel): Promise<StoredWeights> {
  const { json, stored: file, weights, overruled } = await openModelFolder(files);
  const root = model instanceof TaskModel ? model.bodyPath : undefined;
  const inTree = (path: string): string =>
    root !== undefined && path.startsWith(`${root}.`) ? path.slice(root.length + 1) : path;
  const paths = new Map([...weights.tensors].map(([path, { name }]) => [name, inTree(path)]));
  return { config: json, ownOutput: overruled, file, pathOf: (name) => paths.get(name) };
}

/**
 * Compares what is stored with what the model asks for. @returns tensors outside the model, such as a value head
 * (`v_head.*`): like transformers, Lowrank leaves them out and says so. A tensor within the model's own modules that
 * the config does not call for is an error: it would change what the model computes.
 */
function checkWeights(
  {
    weights,
    model,
    folder,
    anew,
  }: { weights: SafetensorsFile; model: TextModel; folder: string; anew: readonly string[] },
  placements: readonly Placement[],
): string[] {
  const outputName = `${model.outputPath}.weight`;
  const unused = (name: string): boolean =>
    name === outputName ||
    anew.includes(name) ||
    name.endsWith('.rotary_emb.inv_freq') ||
    model.unusedWeights.some((beginning) => name.startsWith(beginning));
  const extra: string[] = [];
  const problems: string[] = [];
  const asked = new Set(placements.flatMap(({ tensors }) => tensors));
  const parts = new Set([...model.children().keys(), ...[...asked].map((name) => name.split('.', 1)[0] ?? name)]);
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
  for (const name of weights.tensors.keys()) {
    if (asked.has(name) || unused(name)) continue;
    if (parts.has(name.split('.', 1)[0] ?? name)) problems.push(`unexpected: ${shortName(name)}`);
    else extra.push(name);
  }
  if (problems.length === 0) return extra;
  const shown = problems.slice(0, 10).join('; ');
  throw new LowrankError({
    code: 'models.weights',
    what: `the weights of ${folder}`,
    expected: `the ${asked.size} tensors that its config.json calls for`,
    got: problems.length > 10 ? `${shown}; and ${problems.length - 10} more` : shown,
    remedy: 'Check that config.json and the safetensors files belong together.',
  });
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, 4).map(shortName).join(', ');
  return names.length > 4 ? `${shown} and ${names.length - 4} more` : shown;
}

/** A name of a file, for messages: hostile ones may be long. */
function shortName(name: string): string {
  return name.length > 120 ? `${name.slice(0, 117)}...` : name;
}

/** A device keeps the host's copy of written data until it has taken it: loading waits for it this often. */
const uploadWindow = 64 * 2 ** 20;

async function fill(
  weights: SafetensorsFile,
  placements: readonly Placement[],
  { onProgress, backend }: Pick<LoadOptions, 'onProgress'> & { backend: Backend | undefined },
): Promise<void> {
  const bytesOf = ({ tensors }: Placement): number =>
    tensors.reduce((sum, name) => sum + storedBytes(weights.tensors.get(name)), 0);
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
