import { LowrankError } from '@lowrank/errors';
import type { LinearLike } from '@lowrank/nn';
import type { QuantizationSettings } from '@lowrank/quant';
import { checkSettings, emptyMatrix, encodingFor, isSkipped, operandOf, QuantizedLinear, Quantizer } from '@lowrank/quant';
import type { SafetensorsFile, TensorInfo } from '@lowrank/safetensors';
import type { Backend, DType, EncodedMatrix, HostArray, Tensor } from '@lowrank/tensor';
import { bytesPerElement, hostArray, sizeOf, Source, sourceOf, Tensor as TensorClass, tensor, toFloat32 } from '@lowrank/tensor';
import type { CausalModel } from './causalModel.js';
import { ConfigReader } from './config.js';
import type { ModelFiles } from './files.js';
import { openWeights, readJson } from './files.js';
import { architectureOf } from './registry.js';
import type { WeightRequest } from './weights.js';
import { weightSource } from './weights.js';

export interface LoadOptions {
  /** Called as tensors arrive: bytes so far and in all. */
  readonly onProgress?: (progress: { readonly bytes: number; readonly totalBytes: number; readonly tensor: string }) => void;
  /** Widen 16-bit matrices to f32: what training them needs. */
  readonly widen?: boolean;
  /** Quantizes the matrices of linear layers as they arrive: what is whole on the host is a piece of one matrix, and its codes. */
  readonly quantization?: QuantizationSettings | undefined;
  /**
   * Where the weights go as they arrive, so that the host never holds the model; it is opened when all names and shapes are known to fit. Without it they stay on the host until they are
   * first used.
   */
  readonly backend?: (() => Promise<Backend>) | undefined;
}

/** A weight's place in the model, and how it gets there. */
interface Placement {
  readonly request: WeightRequest;
  /** Its persistent tensors. */
  readonly parts: readonly Tensor[];
  fill(weights: SafetensorsFile, info: TensorInfo): Promise<void>;
}

/**
 * Loads a model in Hugging Face's layout: config.json and model.safetensors, or shards with model.safetensors.index.json. Matrices keep their 16 bits, unless they are quantized; vectors
 * become f32.
 *
 * @throws LowrankError `models.config`, `models.unknownType`, `models.weights` (missing, unexpected and misshapen weights, listed), `models.noFile`, and the codes of safetensors and quant
 */
export async function loadModel(files: ModelFiles, options: LoadOptions = {}): Promise<CausalModel> {
  const config = new ConfigReader(await readJson(files, 'config.json'), `${files.name}/config.json`);
  if (config.has('quantization_config')) config.refuse('quantization_config', 'none');
  if (options.quantization !== undefined) checkSettings(options.quantization);
  const architecture = architectureOf(config);
  const stored = await openWeights(files);
  const weights = architecture.weights?.(stored) ?? stored;
  const placements = new Map<string, Placement>();
  const keep = <P extends Placement>(placement: P): P => {
    placements.set(placement.request.name, placement);
    return placement;
  };
  const model = architecture.build(
    config,
    weightSource({
      tensor: (request) => keep(placeDense(request, weights.tensors.get(request.name)?.dtype, options)).tensor,
      linear(request, bias): LinearLike | undefined {
        const { quantization } = options;
        if (quantization === undefined || isSkipped(layerOf(request), quantization.skipModules)) return undefined;
        return new QuantizedLinear(keep(placeCodes(request, quantization)).matrix, bias());
      },
    }),
  );
  checkWeights({ weights, outputName: `${model.outputPath}.weight` }, [...placements.values()].map(({ request }) => request), files.name);
  const backend = await options.backend?.();
  await fill(weights, placements, { ...options, backend });
  return model;
}

export interface StoredWeights {
  readonly file: SafetensorsFile;
  /** Where the model has a stored tensor: its name, mostly. Undefined for what is none of the model's business, such as the image tower of a model that reads text alone. */
  readonly pathOf: (name: string) => string | undefined;
}

/** A folder's weights as they are stored, and their paths in the model: for those who write them again. */
export async function openModelWeights(files: ModelFiles): Promise<StoredWeights> {
  const architecture = architectureOf(new ConfigReader(await readJson(files, 'config.json'), `${files.name}/config.json`));
  const file = await openWeights(files);
  const paths = new Map([...(architecture.weights?.(file) ?? file).tensors].map(([path, { name }]) => [name, path]));
  return { file, pathOf: (name) => paths.get(name) };
}

/** The path of the layer that a matrix belongs to. */
function layerOf({ name }: WeightRequest): string {
  return name.slice(0, name.lastIndexOf('.'));
}

/** An empty tensor for a weight; its data follows once all names and shapes are known to fit. */
function placeDense(request: WeightRequest, stored: string | undefined, { widen = false }: LoadOptions): Placement & { readonly tensor: Tensor } {
  const { name, shape, kind } = request;
  const narrow = kind !== 'vector' && !widen && sizeOf(shape) % 2 === 0;
  const dtype = narrow && stored === 'F16' ? 'f16' : narrow && stored === 'BF16' ? 'bf16' : 'f32';
  const source = new Source({ shape, dtype }, undefined, name);
  const made = new TensorClass(source, 0);
  return { request, tensor: made, parts: [made], fill: async (weights, info) => source.write(decode(await weights.read(name), info, dtype)) };
}

/** An empty matrix of codes; they are made piece by piece as the weight is read. */
function placeCodes(request: WeightRequest, settings: QuantizationSettings): Placement & { readonly matrix: EncodedMatrix } {
  const { name, shape } = request;
  const [rows = 0, columns = 0] = shape;
  const matrix = emptyMatrix(encodingFor(settings, [rows, columns]), name);
  return {
    request,
    matrix,
    parts: matrix.parts,
    async fill(weights, info) {
      const dtype = dtypeOf(info);
      const quantizer = new Quantizer({ ...settings, shape, dtype });
      const step = quantizer.chunkSize * bytesPerElement(dtype);
      for (let start = 0; start < info.byteLength; start += step) {
        const piece = copied(await weights.readRange(name, start, Math.min(start + step, info.byteLength)), dtype);
        quantizer.add(piece as Float32Array | Uint16Array);
      }
      operandOf(quantizer.finish()).parts.forEach((part, at) => {
        const target = matrix.parts[at];
        if (target !== undefined) sourceOf(target).write(part);
      });
    },
  };
}

function checkWeights({ weights, outputName }: { weights: SafetensorsFile; outputName: string }, requests: readonly WeightRequest[], folder: string): void {
  const problems: string[] = [];
  const asked = new Map(requests.map((request) => [request.name, request]));
  for (const { name, shape } of requests) {
    const info = weights.tensors.get(name);
    if (info === undefined) problems.push(`missing: ${name} [${shape.join(', ')}]`);
    else if (info.shape.join() !== shape.join()) problems.push(`misshapen: ${name} is [${info.shape.join(', ')}], expected [${shape.join(', ')}]`);
    else if (!['F32', 'F16', 'BF16'].includes(info.dtype)) problems.push(`dtype: ${name} is ${info.dtype}, expected F32, F16 or BF16`);
  }
  // A tied output projection may be stored all the same, and old checkpoints hold tables that the code makes itself.
  for (const name of weights.tensors.keys()) if (!asked.has(name) && name !== outputName && !name.endsWith('.rotary_emb.inv_freq')) problems.push(`unexpected: ${name}`);
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

async function fill(weights: SafetensorsFile, placements: ReadonlyMap<string, Placement>, { onProgress, backend }: Pick<LoadOptions, 'onProgress'> & { backend: Backend | undefined }): Promise<void> {
  let totalBytes = 0;
  for (const name of placements.keys()) totalBytes += weights.tensors.get(name)?.byteLength ?? 0;
  let bytes = 0;
  let uploaded = 0;
  // In the order of the file, so that disks and networks read forward.
  for (const [name, info] of weights.tensors) {
    const placement = placements.get(name);
    if (placement === undefined) continue;
    if (backend !== undefined) placement.parts.forEach((part) => sourceOf(part).on(backend));
    await placement.fill(weights, info);
    bytes += info.byteLength;
    uploaded += info.byteLength;
    if (uploaded >= uploadWindow) {
      await backend?.finish();
      uploaded = 0;
    }
    onProgress?.({ bytes, totalBytes, tensor: name });
  }
}

function dtypeOf({ dtype }: TensorInfo): 'f16' | 'bf16' | 'f32' {
  return dtype === 'F16' ? 'f16' : dtype === 'BF16' ? 'bf16' : 'f32';
}

/** Bytes as numbers, in memory of their own and so aligned: `slice` of Node's Buffer is no copy. */
function copied(bytes: Uint8Array, dtype: DType): HostArray {
  return hostArray(dtype, new Uint8Array(bytes).buffer);
}

function decode(bytes: Uint8Array, info: TensorInfo, wanted: DType): HostArray {
  const dtype = dtypeOf(info);
  const data = copied(bytes, dtype);
  return wanted === dtype ? data : toFloat32(data, dtype);
}

/** Fresh weights for a config, from `draw` (by weight name and shape): to train a model from nothing. */
export function createModel(config: Readonly<Record<string, unknown>>, draw: (request: WeightRequest) => Float32Array, name = 'config.json'): CausalModel {
  const reader = new ConfigReader(config, name);
  return architectureOf(reader).build(
    reader,
    weightSource({ tensor: (request) => tensor(draw(request), request.shape, { name: request.name }) }),
  );
}
