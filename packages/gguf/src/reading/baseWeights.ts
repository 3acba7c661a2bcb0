import { LowrankError } from '@lowrank/errors';
import type { ByteSource, SafetensorsFile, TensorInfo } from '@lowrank/safetensors';
import { checkRange, tensorNamed } from '@lowrank/safetensors';
import { toFloat32 } from '@lowrank/tensor';
import type { GgufArchitecture } from '../architecture.js';
import type { BlockCodes, BlockLayout } from '../numeric/blocks.js';
import { blockLayouts, dequantizeCodes, unpackBlocks } from '../numeric/blocks.js';
import type { ReadTensor } from './header.js';
import type { BlockType, PlainType } from './tensorTypes.js';
import { bytesOf, isPlain } from './tensorTypes.js';

/** A tensor of a model file under its name in the model, as if it were dense. */
export interface BaseTensorInfo extends TensorInfo {
  /** Where the file has codes for it: what they are, and a reader of all of them. */
  readonly codes?: StoredCodes;
  /** Bytes in the file. */
  readonly storedBytes?: number;
}

/** Codes of a GGUF tensor as they lie in the file. */
export interface StoredCodes {
  /** ggml's name, such as Q4_K. */
  readonly type: string;
  readonly layout: BlockLayout;
  read(): Promise<BlockCodes>;
}

/** The weights of a model file as a checkpoint of transformers: names, row order and norms are its own. */
export interface BaseWeights extends SafetensorsFile {
  readonly tensors: ReadonlyMap<string, BaseTensorInfo>;
}

interface Named {
  readonly tensor: ReadTensor;
  /** Heads whose rows llama.cpp has in another order. */
  readonly heads: number | undefined;
  /** What is added to the stored numbers. */
  readonly add: number;
}

/**
 * The tensors under the names of transformers; codes read as the f32 that they stand for. Tensors that the names do not
 * know keep llama.cpp's, so that loading reports them.
 */
export function baseWeights(
  source: ByteSource,
  tensors: ReadonlyMap<string, ReadTensor>,
  {
    architecture,
    heads,
    keyHeads,
  }: { readonly architecture: GgufArchitecture; readonly heads: number; readonly keyHeads: number },
): BaseWeights {
  const named = new Map<string, Named>();
  for (const tensor of tensors.values()) {
    if (tensor.name === 'rope_freqs.weight') continue;
    const path = modelPath(tensor.name, architecture);
    const isQuery = path.includes('.q_proj.');
    const turns = architecture.interleavedHeads === true && (isQuery || path.includes('.k_proj.'));
    const isNorm = architecture.base?.normOffset === 1 && path.endsWith('norm.weight');
    named.set(path, { tensor, heads: turns ? (isQuery ? heads : keyHeads) : undefined, add: isNorm ? -1 : 0 });
  }
  const infos = new Map([...named].map(([path, each]) => [path, infoOf(source, path, each)] as const));
  const file = { name: source.name, tensors: infos };
  async function readRange(name: string, start: number, end: number): Promise<Uint8Array> {
    const info = tensorNamed(file, name);
    checkRange(`${source.name}: tensor ${JSON.stringify(name)}`, { start, end, size: info.byteLength });
    const each = named.get(name);
    return each === undefined ? new Uint8Array() : rangeOf(source, each, { start, end });
  }
  return {
    name: source.name,
    metadata: {},
    tensors: infos,
    readRange,
    read: async (name) => readRange(name, 0, tensorNamed(file, name).byteLength),
  };
}

/** transformers' name of a tensor: blk.3.attn_q.weight → model.layers.3.self_attn.q_proj.weight. */
function modelPath(name: string, { tensors }: GgufArchitecture): string {
  const [, stem = '', part = ''] = /^(.*)\.(weight|bias)$/.exec(name) ?? [];
  const [, layer = ''] = /^blk\.(\d+)\./.exec(stem) ?? [];
  const wanted = stem.replace(/^blk\.\d+\./, 'blk.{i}.');
  const found = Object.entries(tensors).find(([, tensor]) => tensor === wanted);
  return found === undefined ? name : `${found[0].replace('{i}', layer)}.${part}`;
}

function infoOf(source: ByteSource, name: string, each: Named): BaseTensorInfo {
  const { type, shape, byteOffset } = each.tensor;
  const size = shape.reduce((product, length) => product * length, 1);
  const info = { name, shape, byteOffset, file: source.name, storedBytes: each.tensor.byteLength };
  if (isPlain(type) && each.add === 0) return { ...info, dtype: type, byteLength: bytesOf(type, size) };
  const dense = { ...info, dtype: 'F32' as const, byteLength: 4 * size };
  if (isPlain(type) || each.add !== 0 || shape.length !== 2) return dense;
  const codes = { type, layout: blockLayouts[type], read: () => codesOf(source, each, type) };
  return { ...dense, codes };
}

async function codesOf(source: ByteSource, each: Named, type: BlockType): Promise<BlockCodes> {
  return unpackBlocks(type, await rows(source, each, { first: 0, last: each.tensor.shape[0] ?? 0 }));
}

/** Bytes `start <= i < end` of a tensor as `infoOf` describes it: whole rows are read, and cut. */
async function rangeOf(
  source: ByteSource,
  each: Named,
  { start, end }: { readonly start: number; readonly end: number },
): Promise<Uint8Array> {
  const { type } = each.tensor;
  const isStored = isPlain(type) && each.add === 0;
  const rowBytes = columnsOf(each) * (isStored ? bytesOf(type, 1) : 4);
  const [first, last] = [Math.floor(start / rowBytes), Math.ceil(end / rowBytes)];
  const bytes = await rows(source, each, { first, last });
  const wanted = isStored ? bytes : decoded(bytes, each);
  return wanted.subarray(start - first * rowBytes, end - first * rowBytes);
}

/** Elements of a row; a vector is one row, unless its elements change places. */
function columnsOf({ tensor: { shape }, heads }: Named): number {
  return shape.length === 1 && heads !== undefined ? 1 : (shape.at(-1) ?? 1);
}

/** The stored bytes of rows `first <= row < last`, in the model's order. */
async function rows(
  source: ByteSource,
  each: Named,
  { first, last }: { readonly first: number; readonly last: number },
): Promise<Uint8Array> {
  const { tensor, heads } = each;
  const rowBytes = bytesOf(tensor.type, columnsOf(each));
  const at = (row: number): number => tensor.byteOffset + row * rowBytes;
  if (heads === undefined) return source.read(at(first), at(last));
  const total = tensor.byteLength / rowBytes;
  const headRows = total / heads;
  if (!Number.isInteger(headRows) || headRows % 2 !== 0)
    throw new LowrankError({
      code: 'gguf.shape',
      what: `${source.name}: ${tensor.name}`,
      expected: `an even number of rows for each of ${heads} heads`,
      got: `${total} rows`,
    });
  // Whole heads: their rows are where llama.cpp has them, neighbours that turn against each other.
  const begin = Math.floor(first / headRows) * headRows;
  const stored = await source.read(at(begin), at(Math.ceil(last / headRows) * headRows));
  const result = new Uint8Array((last - first) * rowBytes);
  for (let row = first; row < last; row++) {
    const inHead = row % headRows;
    const half = inHead < headRows / 2 ? 0 : 1;
    const from = row - inHead + 2 * (inHead - (half * headRows) / 2) + half - begin;
    result.set(stored.subarray(from * rowBytes, (from + 1) * rowBytes), (row - first) * rowBytes);
  }
  return result;
}

/** Stored bytes as f32, with what norms are stored off by. */
function decoded(bytes: Uint8Array, { tensor: { type }, add }: Named): Uint8Array {
  const values = isPlain(type) ? plainValues(bytes, type) : dequantizeCodes(unpackBlocks(type, bytes));
  const moved = add === 0 ? values : values.map((value) => value + add);
  return new Uint8Array(moved.buffer, moved.byteOffset, moved.byteLength);
}

function plainValues(bytes: Uint8Array, type: PlainType): Float32Array {
  // A copy: views need alignment.
  const { buffer } = new Uint8Array(bytes);
  if (type === 'F32') return new Float32Array(buffer);
  return toFloat32(new Uint16Array(buffer), type === 'F16' ? 'f16' : 'bf16');
}
