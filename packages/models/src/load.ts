import { LowrankError } from '@lowrank/errors';
import type { SafetensorsFile, TensorInfo } from '@lowrank/safetensors';
import type { HostArray, Tensor } from '@lowrank/tensor';
import { hostArray, sizeOf, Source, Tensor as TensorClass, tensor, toFloat32 } from '@lowrank/tensor';
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
}

/**
 * Loads a model in Hugging Face's layout: config.json and model.safetensors, or shards with model.safetensors.index.json. Matrices keep their 16 bits; vectors become f32.
 *
 * @throws LowrankError `models.config`, `models.unknownType`, `models.weights` (missing, unexpected and misshapen weights, listed), `models.noFile`, and safetensors' codes
 */
export async function loadModel(files: ModelFiles, options: LoadOptions = {}): Promise<CausalModel> {
  const config = new ConfigReader(await readJson(files, 'config.json'), `${files.name}/config.json`);
  if (config.has('quantization_config')) config.refuse('quantization_config', 'none');
  const architecture = architectureOf(config);
  const stored = await openWeights(files);
  const weights = architecture.weights?.(stored) ?? stored;
  const requests = new Map<string, { request: WeightRequest; source: Source }>();
  const model = architecture.build(
    config,
    weightSource({
      tensor(request) {
        const made = place(request, weights.tensors.get(request.name), options);
        requests.set(request.name, { request, source: made.source });
        return made.tensor;
      },
    }),
  );
  checkWeights({ weights, outputName: `${model.outputPath}.weight` }, [...requests.values()].map(({ request }) => request), files.name);
  await fill(weights, requests, options);
  return model;
}

/** An empty tensor for a weight; its data follows once all names and shapes are known to fit. */
function place({ name, shape, kind }: WeightRequest, info: TensorInfo | undefined, { widen = false }: LoadOptions): { tensor: Tensor; source: Source } {
  const narrow = kind !== 'vector' && !widen && sizeOf(shape) % 2 === 0;
  const dtype = narrow && info?.dtype === 'F16' ? 'f16' : narrow && info?.dtype === 'BF16' ? 'bf16' : 'f32';
  const source = new Source({ shape, dtype }, undefined, name);
  return { tensor: new TensorClass(source, 0), source };
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

async function fill(weights: SafetensorsFile, requests: ReadonlyMap<string, { source: Source }>, { onProgress }: LoadOptions): Promise<void> {
  let totalBytes = 0;
  for (const name of requests.keys()) totalBytes += weights.tensors.get(name)?.byteLength ?? 0;
  let bytes = 0;
  // In the order of the file, so that disks and networks read forward.
  for (const [name, info] of weights.tensors) {
    const request = requests.get(name);
    if (request === undefined) continue;
    request.source.write(decode(await weights.read(name), info, request.source.spec.dtype));
    bytes += info.byteLength;
    onProgress?.({ bytes, totalBytes, tensor: name });
  }
}

function decode(bytes: Uint8Array, { dtype: stored }: TensorInfo, wanted: string): HostArray {
  // A copy in any case: `slice` of Node's Buffer is none.
  const { buffer } = new Uint8Array(bytes);
  const dtype = stored === 'F16' ? 'f16' : stored === 'BF16' ? 'bf16' : 'f32';
  const data = hostArray(dtype, buffer);
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
