import { join } from 'node:path';
import { LowrankError } from '@lowrank/errors';
import type { ModelFiles, StoredWeights } from '@lowrank/models';
import { companionFiles, openFolder, openModelWeights, outlineModel, readJson, requireFile } from '@lowrank/models';
import type { FloatDtype, Floats, QuantizationError, QuantizationSettings, QuantizedTensor } from '@lowrank/quant';
import {
  checkSettings,
  dequantizePart,
  ErrorStatistics,
  quantizedEntries,
  QuantizedLinear,
  Quantizer,
  widen,
  withQuantizationConfig,
} from '@lowrank/quant';
import type { SafetensorsFile, TensorEntry, TensorInfo } from '@lowrank/safetensors';
import type { FolderSaving } from '@lowrank/files';
import { claimOutput, viewFolder } from '@lowrank/files';
import { writeSafetensors } from '@lowrank/safetensors';
import { bytesPerElement, hostArray, sizeOf } from '@lowrank/tensor/op';
import type { OutputOptions } from '../settings/methodTables.js';
import type { TransferEvents } from './folders.js';
import { withFolders } from './folders.js';
import { finiteBytes } from './finiteBytes.js';
import { saveInto } from './saveInto.js';
import type { Together } from './shards.js';
import { entryBytes, shardIndex, shardsOf } from './shards.js';
import { Spool, storedEntry, wholeOf } from './spool.js';

export interface QuantizeFolderOptions extends QuantizationSettings, TransferEvents, OutputOptions {
  readonly model: string;
  readonly output: string;
  /** Ends between two tensors, and leaves nothing. */
  readonly signal?: AbortSignal | undefined;
}

/** What `lowrank quantize` prints. */
export interface QuantizeResult {
  /** The folder that was written. */
  readonly model: string;
  readonly type: QuantizationSettings['type'];
  /** null for int8, which has a scale per row. */
  readonly block_size: number | null;
  readonly double_quantization: boolean;
  /** Matrices that were quantized, their elements, and their bytes with all that decodes them. */
  readonly quantized: {
    readonly tensors: number;
    readonly parameters: number;
    readonly bytes_before: number;
    readonly bytes_after: number;
  };
  /** Tensors that kept their bytes. */
  readonly kept: number;
  /** Of all weights. */
  readonly bytes_before: number;
  readonly bytes_after: number;
  /** Files of weights. */
  readonly files: number;
  /** How far the quantized weights moved. */
  readonly error: {
    readonly mean_absolute: number;
    readonly max_absolute: number;
    readonly mean_relative: number;
    readonly root_mean_square: number;
  };
}

const floatDtypes: Readonly<Record<string, FloatDtype>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' };

/**
 * Quantizes the linear layers of a model folder on the host, piece by piece, into a folder in bitsandbytes' layout that
 * transformers loads; embeddings, the output projection, norms and biases keep their bytes. What lies in memory is the
 * codes of one matrix and a piece of it. Where the source has shards, the result has none that is larger. All files
 * become visible together.
 *
 * @throws LowrankError `quantize.already`, `quantize.nothing`, `quantize.layout`, what claimOutput throws,
 * and the codes of models, quant and safetensors
 */
export async function quantizeFolder(given: QuantizeFolderOptions): Promise<QuantizeResult> {
  checkSettings(given);
  const { model, output } = await withFolders(given, given);
  const files = await openFolder(model);
  const config = await readJson(files, 'config.json');
  if ((config['quantization_config'] ?? null) !== null) {
    throw new LowrankError({
      code: 'quantize.already',
      what: `${model}/config.json`,
      expected: 'a model that is not quantized',
      got: 'quantization_config',
      remedy: 'Start from the weights in 16 or 32 bits: what rounding lost is lost.',
    });
  }
  const stored = await openModelWeights(files);
  const plan = planOf(stored, stored.config, given);
  const claim = await claimOutput(output, { inputs: [model], overwrite: given.overwrite });
  return saveInto(claim, 'config.json', (saving) =>
    writeAll({ stored: stored.file, plan, settings: given, files, saving, signal: given.signal }),
  );
}

interface QuantizePlan {
  /** Names of stored matrices that are quantized. */
  readonly quantized: ReadonlySet<string>;
  /** What `llm_int8_skip_modules` must hold so that transformers expects the same; undefined for its default. */
  readonly skipModules: readonly string[] | undefined;
}

/** Which stored tensors are matrices of linear layers: the model itself knows, before a weight is read. */
function planOf(
  { file, pathOf }: StoredWeights,
  config: Readonly<Record<string, unknown>>,
  settings: QuantizationSettings,
): QuantizePlan {
  const outline = outlineModel(config, { quantization: settings, name: file.name });
  const layers = new Map(
    [...outline.namedModules()].flatMap(([path, module]) =>
      module instanceof QuantizedLinear ? [[`${path}.weight`, module.matrix.shape]] : [],
    ),
  );
  if (layers.size === 0)
    throw new LowrankError({
      code: 'quantize.nothing',
      what: file.name,
      expected: 'linear layers to quantize',
      got: 'none',
      remedy: 'Name fewer --skip-modules; models without linear layers (GPT-2) cannot be quantized yet.',
    });
  const quantized = new Set<string>();
  const foreign = new Set<string>();
  for (const { name, dtype, shape } of file.tensors.values()) {
    const path = pathOf(name);
    // Parts that the model does not know, such as an image tower, stay as they are.
    if (path === undefined && shape.length > 1) foreign.add(name.replace(/^model\./, '').split('.')[0] ?? name);
    const matrix = layers.get(path ?? '');
    if (matrix === undefined) continue;
    if (shape.join() !== matrix.join() || floatDtypes[dtype] === undefined) {
      throw new LowrankError({
        code: 'quantize.layout',
        what: `${file.name}: ${name}`,
        expected: `F32, F16 or BF16 [${matrix.join(', ')}]`,
        got: `${dtype} [${shape.join(', ')}]`,
        remedy: 'Check that config.json and the safetensors files belong together.',
      });
    }
    layers.delete(path ?? '');
    quantized.add(name);
  }
  const [missing] = layers.keys();
  if (missing !== undefined)
    throw new LowrankError({
      code: 'quantize.layout',
      what: `${file.name}: ${missing}`,
      expected: 'this tensor, which config.json calls for',
      got: 'none',
      remedy: 'Check that config.json and the safetensors files belong together.',
    });
  const skipped = [...(settings.skipModules ?? []), ...[...foreign].map((part) => String.raw`(model\.)?` + part)];
  return { quantized, skipModules: skipped.length === 0 ? undefined : [outline.outputPath, ...skipped] };
}

/** Hidden, so that it is no part of what is saved. */
const spoolName = '.spool.tmp';

interface WriteJob {
  readonly stored: SafetensorsFile;
  readonly plan: QuantizePlan;
  readonly settings: QuantizationSettings;
  readonly files: ModelFiles;
  readonly saving: FolderSaving;
  readonly signal: AbortSignal | undefined;
}

async function writeAll(job: WriteJob): Promise<QuantizeResult> {
  const { stored, plan, settings, files, saving, signal } = job;
  const spool = await Spool.create(join(saving.staged, spoolName));
  try {
    const { groups, error, quantized } = await quantizeAll(job, spool);
    const shards = shardsOf(groups, largestShard(stored));
    for (const { fileName, entries } of shards) {
      signal?.throwIfAborted();
      await saving.write(fileName, writeSafetensors(entries, { format: 'pt', ...stored.metadata }));
    }
    const index = shardIndex(shards);
    const { type, blockSize = 64, doubleQuantization = false } = settings;
    const configFile = await requireFile(files, 'config.json');
    const config = new TextDecoder().decode(await configFile.read(0, await configFile.size()));
    const computeDtype = dominantDtype(stored, plan);
    const texts = [
      ['model.safetensors.index.json', index],
      [
        'config.json',
        withQuantizationConfig(
          withoutNull(config),
          { type, doubleQuantization, computeDtype, skipModules: plan.skipModules },
          `${files.name}/config.json`,
        ),
      ],
    ] as const;
    await copyRest(files, saving);
    for (const [name, text] of texts) {
      if (text !== undefined) await saving.write(name, text);
    }
    const bytes = (entries: Iterable<Pick<TensorEntry, 'dtype' | 'shape'>>): number =>
      [...entries].reduce((sum, entry) => sum + entryBytes(entry), 0);
    return {
      model: saving.folder,
      type,
      block_size: type === 'int8' ? null : blockSize,
      double_quantization: doubleQuantization,
      quantized,
      kept: stored.tensors.size - quantized.tensors,
      bytes_before: bytes(stored.tensors.values()),
      bytes_after: bytes(shards.flatMap(({ entries }) => entries)),
      files: shards.length,
      error: {
        mean_absolute: error.meanAbsolute,
        max_absolute: error.maxAbsolute,
        mean_relative: error.meanRelative,
        root_mean_square: error.rootMeanSquare,
      },
    };
  } finally {
    await spool.remove();
  }
}

async function quantizeAll(
  { stored, plan, settings, signal }: WriteJob,
  spool: Spool,
): Promise<{ groups: Together[]; error: QuantizationError; quantized: QuantizeResult['quantized'] }> {
  const statistics = new ErrorStatistics();
  const groups: Together[] = [];
  const count = { tensors: 0, parameters: 0, bytes_before: 0, bytes_after: 0 };
  for (const info of stored.tensors.values()) {
    signal?.throwIfAborted();
    if (!plan.quantized.has(info.name)) {
      groups.push([storedEntry(finiteOnly(stored, info), info)]);
      continue;
    }
    const tensor = await quantizeStored(stored, info, { settings, statistics });
    const group: TensorEntry[] = [];
    for (const entry of quantizedEntries(info.name, tensor)) {
      group.push(await spool.add(entry));
      count.bytes_after += entry.data.byteLength;
    }
    groups.push(group);
    count.tensors++;
    count.parameters += sizeOf(info.shape);
    count.bytes_before += info.byteLength;
  }
  return { groups, error: statistics.result(), quantized: count };
}

async function quantizeStored(
  file: SafetensorsFile,
  info: TensorInfo,
  { settings, statistics }: { readonly settings: QuantizationSettings; readonly statistics: ErrorStatistics },
): Promise<QuantizedTensor> {
  const dtype = floatDtypes[info.dtype] ?? 'f32';
  const quantizer = new Quantizer({ ...settings, shape: info.shape, dtype });
  const { chunkSize } = quantizer;
  for await (const values of pieces(file, info, chunkSize)) quantizer.add(values);
  const tensor = quantizer.finish();
  // Read once more, since with double quantization values are known when all scales are.
  let done = 0;
  for await (const values of pieces(file, info, chunkSize)) {
    statistics.add(widen(values, dtype), dequantizePart(tensor, done, done + values.length));
    done += values.length;
  }
  return tensor;
}

/** A tensor's file, which refuses numbers of it that are not finite. */
function finiteOnly(file: SafetensorsFile, info: TensorInfo): Pick<SafetensorsFile, 'readRange'> {
  return {
    readRange: async (name, start, end) => finiteBytes(await file.readRange(name, start, end), info, start),
  };
}

async function* pieces(file: SafetensorsFile, info: TensorInfo, elements: number): AsyncGenerator<Floats> {
  const { name, dtype, byteLength } = info;
  const type = floatDtypes[dtype] ?? 'f32';
  const step = elements * bytesPerElement(type);
  const { readRange } = finiteOnly(file, info);
  // A copy is aligned; `slice` of Node's Buffer makes none.
  for (let at = 0; at < byteLength; at += step)
    yield hostArray(type, new Uint8Array(await readRange(name, at, Math.min(at + step, byteLength))).buffer) as Floats;
}

/** Bytes of tensors in the fullest file of the source; without limit where there is but one. */
function largestShard({ tensors }: SafetensorsFile): number {
  const sizes = new Map<string, number>();
  for (const { file, byteLength } of tensors.values()) sizes.set(file, (sizes.get(file) ?? 0) + byteLength);
  return sizes.size < 2 ? Infinity : Math.max(...sizes.values());
}

/** In which bitsandbytes is to multiply: the dtype that most of the quantized matrices had. */
function dominantDtype({ tensors }: SafetensorsFile, { quantized }: QuantizePlan): FloatDtype {
  const counts = { f32: 0, f16: 0, bf16: 0 };
  for (const name of quantized) counts[floatDtypes[tensors.get(name)?.dtype ?? 'F32'] ?? 'f32']++;
  return counts.bf16 > Math.max(counts.f16, counts.f32) ? 'bf16' : counts.f16 > counts.f32 ? 'f16' : 'f32';
}

/** `"quantization_config": null` says what its absence says. */
function withoutNull(config: string): string {
  return config.replace(/,\s*"quantization_config":\s*null|"quantization_config":\s*null\s*,?/, '');
}

/** Files of weights in any format, and their indexes: quantizing replaces them, or has no use for them. */
function isWeights(name: string): boolean {
  return /\.(safetensors|bin|pt|pth|gguf|h5|msgpack|onnx)$|\.index\.json$/.test(name);
}

/** Copies tokenizer, generation settings, licence and whatever else lies next to the weights, byte for byte. */
async function copyRest(files: ModelFiles, saving: FolderSaving): Promise<void> {
  // A GGUF file stands for a folder that holds no more than these.
  const names = files.weights === undefined ? await (await viewFolder(files.name)).names() : companionFiles;
  for (const name of names) {
    if (name === 'config.json' || isWeights(name)) continue;
    const source = await files.file(name);
    if (source !== undefined) await saving.write(name, wholeOf(source));
  }
}
