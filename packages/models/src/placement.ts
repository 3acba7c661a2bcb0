import type { FloatDtype, Floats, QuantizationSettings, QuantizedTensor, StoredQuantized } from '@lowrank/quant';
import {
  emptyMatrix,
  encodingFor,
  isSkipped,
  openQuantizer,
  operandOf,
  readQuantized,
  storedEncoding,
} from '@lowrank/quant';
import type { SafetensorsFile, TensorInfo } from '@lowrank/safetensors';
import type { StoredCodes } from '@lowrank/gguf';
import { LowrankError } from '@lowrank/errors';
import type { DType, HostArray, Tensor } from '@lowrank/tensor';
import type { EncodedMatrix, OperandEncoding } from '@lowrank/tensor/op';
import { Tensor as TensorClass, toFloat32 } from '@lowrank/tensor';
import { bytesPerElement, firstNotFinite, sizeOf, Source, sourceOf } from '@lowrank/tensor/op';
import type { WeightRequest } from './weights.js';

/** A weight's place in a model, and how it gets there from a checkpoint. */
export interface Placement {
  readonly request: WeightRequest;
  /** What the checkpoint must hold for it, by name; the request's own name among them. */
  readonly tensors: readonly string[];
  /** The shape it must have there, where it is dense. */
  readonly storedShape: readonly number[];
  /** Where it is stored in codes: the shape that they say. */
  readonly quantized?: readonly number[];
  /** Its persistent tensors. */
  readonly parts: readonly Tensor[];
  fill(weights: SafetensorsFile, info: TensorInfo): Promise<void>;
}

/** Whether these settings quantize the linear layer that a matrix belongs to. */
export function quantizes({ skipModules = [] }: QuantizationSettings, { name }: WeightRequest): boolean {
  return !isSkipped(name.slice(0, name.lastIndexOf('.')), skipModules);
}

/** The dtype that a weight has in memory: its own 16 bits for matrices, where two elements fill a word; else f32. */
export function denseDtype(
  { shape, kind }: WeightRequest,
  stored: string | undefined,
  { widen = false }: { readonly widen?: boolean },
): FloatDtype {
  const narrow = kind !== 'vector' && !widen && sizeOf(shape) % 2 === 0;
  return narrow && stored === 'F16' ? 'f16' : narrow && stored === 'BF16' ? 'bf16' : 'f32';
}

/** An empty tensor for a weight; its data follows once all names and shapes are known to fit. */
export function placeDense(
  request: WeightRequest,
  stored: string | undefined,
  options: { readonly widen?: boolean },
): Placement & { readonly tensor: Tensor } {
  const { name, shape } = request;
  const dtype = denseDtype(request, stored, options);
  const source = new Source({ shape, dtype }, undefined, name);
  const made = new TensorClass(source, 0);
  return {
    request,
    tensor: made,
    tensors: [name],
    storedShape: shape,
    parts: [made],
    async fill(weights, info) {
      const read = async (start: number, end: number): Promise<HostArray> => {
        const width = bytesPerElement(dtypeOf(info));
        const bytes = await weights.readRange(name, start * width, end * width);
        return finite(decode(bytes, info, dtype), dtype, { ...info, start });
      };
      const size = sizeOf(shape);
      // On the host it is one array anyway. On a device nothing but the piece that is on its way is on the host.
      const step = source.memory === undefined ? size : piece;
      for (let start = 0; start < size; start += step)
        source.write(
          await read(start, Math.min(start + step, size)),
          step === size ? undefined : start * bytesPerElement(dtype),
        );
    },
  };
}

/** Elements of a dense weight that are on the host at a time. */
const piece = 2 ** 20;

interface MatrixPlacement extends Placement {
  readonly matrix: EncodedMatrix;
}

/**
 * An empty matrix of codes, which are made as the weight is read: piece by piece, or, where it is stored the other way
 * round, as a whole.
 */
export function placeCodes(request: WeightRequest, settings: QuantizationSettings): MatrixPlacement {
  const { name, shape, transposed = false } = request;
  const [rows = 0, columns = 0] = shape;
  const matrix = emptyMatrix(encodingFor(settings, [rows, columns]), name);
  return {
    request,
    matrix,
    tensors: [name],
    storedShape: transposed ? [columns, rows] : shape,
    parts: matrix.parts,
    async fill(weights, info) {
      const dtype = dtypeOf(info);
      const quantizer = await openQuantizer({ ...settings, shape, dtype });
      const width = bytesPerElement(dtype);
      const whole = transposed ? transpose(floats(await weights.read(name), dtype), [columns, rows]) : undefined;
      for (let start = 0; start < rows * columns; start += quantizer.chunkSize) {
        const end = Math.min(start + quantizer.chunkSize, rows * columns);
        const piece =
          whole?.subarray(start, end) ?? floats(await weights.readRange(name, start * width, end * width), dtype);
        quantizer.add(finite(piece, dtype, info));
      }
      write(matrix, quantizer.finish());
    },
  };
}

/** What tables are quantized to: rows of 8 bits, each with a scale. */
export const tableSettings: QuantizationSettings = { type: 'int8' };

/** An empty matrix for codes that the checkpoint holds. */
export function placeStored(request: WeightRequest, stored: StoredQuantized): MatrixPlacement {
  const matrix = emptyMatrix(storedEncoding(stored), request.name);
  return {
    request,
    matrix,
    tensors: stored.tensors,
    storedShape: request.shape,
    quantized: stored.shape,
    parts: matrix.parts,
    fill: async (weights, info) => write(matrix, await readQuantized(weights, stored), info),
  };
}

/** An empty matrix for the codes of a GGUF file. */
export function placeBlocks(request: WeightRequest, codes: StoredCodes): MatrixPlacement {
  const [rows = 0, columns = 0] = request.shape;
  const { bits, blockSize, offset, minimums } = codes.layout;
  const common = { rows, columns, blockSize, minimums };
  const encoding: OperandEncoding =
    bits === 8
      ? { kind: 'block8', ...common }
      : { kind: 'block4', ...common, table: Array.from({ length: 16 }, (_, code) => code + offset) };
  const matrix = emptyMatrix(encoding, request.name);
  return {
    request,
    matrix,
    tensors: [request.name],
    storedShape: request.shape,
    parts: matrix.parts,
    async fill(_, info) {
      const { codes: numbers, scales, minimums: least } = await codes.read();
      const data = [numbers, finite(scales, 'f32', info), ...(least === undefined ? [] : [finite(least, 'f32', info)])];
      data.forEach((part, at) => {
        const target = matrix.parts[at];
        if (target !== undefined) sourceOf(target).write(part);
      });
    },
  };
}

function write({ parts }: EncodedMatrix, codes: QuantizedTensor, info?: TensorInfo): void {
  operandOf(codes).parts.forEach((data, at) => {
    const target = parts[at];
    // Scales may be broken; codes are always numbers.
    if (info !== undefined && data instanceof Float32Array) finite(data, 'f32', info);
    if (target !== undefined) sourceOf(target).write(data);
  });
}

/** The same numbers. @throws LowrankError `models.notFinite` for NaN or infinity, which would spoil every result */
function finite<Values extends HostArray>(
  values: Values,
  dtype: DType,
  { name, file, start = 0 }: Pick<TensorInfo, 'name' | 'file'> & { readonly start?: number },
): Values {
  const at = firstNotFinite(values, dtype);
  if (at === undefined) return values;
  throw new LowrankError({
    code: 'models.notFinite',
    what: `${name} in ${file}`,
    expected: 'finite numbers',
    got: `NaN or infinity at element ${start + at}`,
    remedy: 'The weights are damaged, or their training diverged: take another copy or an earlier checkpoint.',
  });
}

export function dtypeOf({ dtype }: TensorInfo): FloatDtype {
  return dtype === 'F16' ? 'f16' : dtype === 'BF16' ? 'bf16' : 'f32';
}

/** Whether a file has such numbers, and not codes. */
export function isFloatDtype(dtype: string): boolean {
  return dtype === 'F32' || dtype === 'F16' || dtype === 'BF16';
}

/** Bytes as numbers: a view where they are aligned, else a copy. */
export function floats(bytes: Uint8Array, dtype: FloatDtype): Floats {
  const width = bytesPerElement(dtype);
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % width === 0 ? bytes : new Uint8Array(bytes);
  return dtype === 'f32'
    ? new Float32Array(buffer, byteOffset, byteLength / width)
    : new Uint16Array(buffer, byteOffset, byteLength / width);
}

function transpose(values: Floats, [rows, columns]: readonly [number, number]): Floats {
  const result = values.slice();
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) result[column * rows + row] = values[row * columns + column] ?? 0;
  return result;
}

function decode(bytes: Uint8Array, info: TensorInfo, wanted: DType): HostArray {
  const dtype = dtypeOf(info);
  const data = floats(bytes, dtype);
  return wanted === dtype ? data : toFloat32(data, dtype);
}
