import { LowrankError } from '@lowrank/errors';
import type { SafetensorsFile, TensorInfo } from '@lowrank/safetensors';
import { sizeOf } from '@lowrank/tensor/op';
import { companions, fourBitCodecs, isFourBitType } from './fourBit.js';
import type { FourBitType } from './fourBit.js';
import type { NestedAbsmax } from './numeric/nested.js';
import { copyRemedy, parseQuantState } from './quantState.js';
import type { QuantState } from './quantState.js';
import type { FourBitTensor, Int8Tensor, QuantizedTensor } from './quantizedTensor.js';

/**
 * A weight that a checkpoint holds in bitsandbytes' layout, known by its name, header and quant_state; its codes are
 * not read yet.
 */
export type StoredQuantized = StoredFourBit | StoredInt8;

interface Stored {
  /** Of the codes: `….weight`. */
  readonly name: string;
  /** Every tensor that belongs to it, the codes among them. */
  readonly tensors: readonly string[];
  /** Of all these. */
  readonly bytes: number;
}

/** A 4-bit tensor in a file of bitsandbytes', before its codes are read. */
export interface StoredFourBit extends Stored, Omit<QuantState, 'type'> {
  readonly type: FourBitType;
}

/** An INT8 tensor in a file of bitsandbytes', before its codes are read. */
export interface StoredInt8 extends Stored {
  readonly type: 'int8';
  readonly shape: readonly [rows: number, columns: number];
}

const fourBitTypes = Object.keys(fourBitCodecs) as FourBitType[];
const statePattern = /^(.+)\.quant_state\.bitsandbytes__(.+)$/;

/** What storedQuantized.ts loads: see there. */
export async function findQuantized(file: SafetensorsFile): Promise<Map<string, StoredQuantized>> {
  const found = new Map<string, StoredQuantized>();
  for (const name of file.tensors.keys()) {
    const [, weight, type] = statePattern.exec(name) ?? [];
    if (weight !== undefined) {
      if (!isFourBitType(type))
        throw new LowrankError({
          code: 'quant.type',
          what: `${file.name}: ${name}`,
          expected: 'bitsandbytes__nf4 or bitsandbytes__fp4',
          got: String(type),
          remedy: 'This checkpoint was written by a version of bitsandbytes that is not known here.',
        });
      if (fourBitTypes.every((each) => file.tensors.has(`${weight}.quant_state.bitsandbytes__${each}`)))
        throw bad({
          code: 'quant.state',
          what: `${file.name}: ${weight}`,
          expected: 'one quant_state',
          got: fourBitTypes.join(' and '),
        });
      found.set(weight, await findFourBit(file, weight, type));
    } else if (name.endsWith('.SCB')) {
      const int8 = await findInt8(file, name.slice(0, -'.SCB'.length));
      found.set(int8.name, int8);
    }
  }
  checkStrays(file, found);
  return found;
}

async function findFourBit(file: SafetensorsFile, name: string, type: FourBitType): Promise<StoredFourBit> {
  const stateName = `${name}.quant_state.bitsandbytes__${type}`;
  const state = parseQuantState(await file.read(stateName), `${file.name}: ${stateName}`, type);
  const { shape, blockSize, nested } = state;
  const blocks = Math.ceil(sizeOf(shape) / blockSize);
  const codes = part(file, name, name);
  expectBytes(file, codes, {
    bytes: Math.ceil(sizeOf(shape) / 2),
    what: `the codes of [${shape.join(', ')}]`,
    code: 'quant.codes',
  });
  const absmax = part(file, `${name}.absmax`, name);
  const tensors = [codes, absmax, part(file, `${name}.quant_map`, name), part(file, stateName, name)];
  const nestedThere = companions.slice(2).some((key) => file.tensors.has(`${name}.${key}`));
  if (nested === undefined) {
    if (nestedThere || absmax.dtype === 'U8')
      throw new LowrankError({
        code: 'quant.offset',
        what: `${file.name}: ${stateName}, nested_offset`,
        expected: 'a number, since its scales are quantized',
        got: 'nothing',
        remedy: copyRemedy,
      });
    expectVector(file, absmax, {
      dtype: 'F32',
      length: blocks,
      what: `absmax of [${shape.join(', ')}] in blocks of ${blockSize}`,
      code: 'quant.absmax',
    });
  } else {
    const [scales, map] = [part(file, `${name}.nested_absmax`, name), part(file, `${name}.nested_quant_map`, name)];
    expectVector(file, absmax, {
      dtype: 'U8',
      length: blocks,
      what: `absmax of [${shape.join(', ')}] in blocks of ${blockSize}, quantized`,
      code: 'quant.absmax',
    });
    expectVector(file, scales, {
      dtype: 'F32',
      length: Math.ceil(blocks / nested.blockSize),
      what: `the scales of ${blocks} scales in blocks of ${nested.blockSize}`,
      code: 'quant.absmax',
    });
    expectVector(file, map, { dtype: 'F32', length: 256, what: 'the map of quantized scales', code: 'quant.map' });
    tensors.push(scales, map);
  }
  await checkTable(file, name, type);
  return { name, ...state, ...summary(tensors) };
}

/** The type's own table decodes, as in bitsandbytes; a map that is another type's means a mislabelled file. */
async function checkTable(file: SafetensorsFile, name: string, type: FourBitType): Promise<void> {
  const map = part(file, `${name}.quant_map`, name);
  expectVector(file, map, { dtype: 'F32', length: 16, what: 'the values of 16 codes', code: 'quant.map' });
  const values = await readFloats(file, map);
  const { table } = fourBitCodecs[type];
  const other = values.findIndex((value, code) => !(Math.abs(value - (table[code] ?? NaN)) <= 1e-4));
  if (other >= 0)
    throw bad({
      code: 'quant.map',
      what: `${file.name}: ${map.name}`,
      expected: `${type}'s values, ${table[other]} for code ${other}`,
      got: String(values[other]),
    });
}

async function findInt8(file: SafetensorsFile, module: string): Promise<StoredInt8> {
  const name = `${module}.weight`;
  const codes = part(file, name, `${module}.SCB`);
  const [rows, columns] = codes.shape;
  if (
    codes.dtype !== 'I8' ||
    codes.shape.length !== 2 ||
    rows === undefined ||
    columns === undefined ||
    rows * columns === 0
  ) {
    throw bad({
      code: 'quant.codes',
      what: `${file.name}: ${name}, which has scales (SCB)`,
      expected: 'an I8 matrix',
      got: `${codes.dtype} [${codes.shape.join(', ')}]`,
    });
  }
  const scales = part(file, `${module}.SCB`, name);
  expectBytes(file, scales, { bytes: 4 * rows, what: `an F32 scale for each of ${rows} rows`, code: 'quant.absmax' });
  if (scales.dtype !== 'F32')
    throw bad({ code: 'quant.absmax', what: `${file.name}: ${scales.name}`, expected: 'F32', got: scales.dtype });
  const format = file.tensors.get(`${module}.weight_format`);
  if (format !== undefined) {
    const [value] = await file.read(format.name);
    if (value !== 0)
      throw new LowrankError({
        code: 'quant.weightFormat',
        what: `${file.name}: ${format.name}`,
        expected: '0, codes row by row',
        got: String(value),
        remedy: 'Load it with the old version of bitsandbytes that wrote it, and save it again with a new one.',
      });
  }
  return {
    type: 'int8',
    name,
    shape: [rows, columns],
    ...summary([codes, scales, ...(format === undefined ? [] : [format])]),
  };
}

/** Tensors that only make sense beside others must have found them. */
function checkStrays(file: SafetensorsFile, found: ReadonlyMap<string, StoredQuantized>): void {
  const known = new Set([...found.values()].flatMap(({ tensors }) => tensors));
  for (const { name, dtype } of file.tensors.values()) {
    if (known.has(name)) continue;
    const key = companions.find((suffix) => name.endsWith(`.${suffix}`));
    if (key !== undefined) throw missing(file, `${name.slice(0, -key.length - 1)}.quant_state.bitsandbytes__…`, name);
    if (name.endsWith('.weight_format') || (dtype === 'I8' && name.endsWith('.weight')))
      throw missing(file, `${name.replace(/\.weight(_format)?$/, '')}.SCB`, name);
  }
}

/** The same: see there. */
export async function readQuantized(file: SafetensorsFile, stored: StoredQuantized): Promise<QuantizedTensor> {
  const { name } = stored;
  const codes = new Uint8Array(await file.read(name));
  if (stored.type === 'int8') {
    const absmax = await readScales(file, part(file, `${name.slice(0, -'.weight'.length)}.SCB`, name));
    return { type: 'int8', shape: stored.shape, codes: new Int8Array(codes.buffer), absmax } satisfies Int8Tensor;
  }
  const { type, shape, blockSize, dtype, nested } = stored;
  const absmax = part(file, `${name}.absmax`, name);
  const rest = { type, shape, blockSize, dtype, codes, table: fourBitCodecs[type].table };
  if (nested === undefined) return { ...rest, absmax: await readScales(file, absmax) } satisfies FourBitTensor;
  const [scales, map] = [
    await readScales(file, part(file, `${name}.nested_absmax`, name)),
    await readScales(file, part(file, `${name}.nested_quant_map`, name)),
  ];
  const quantized: NestedAbsmax = {
    codes: new Uint8Array(await file.read(absmax.name)),
    absmax: scales,
    map,
    blockSize: nested.blockSize,
    offset: nested.offset,
  };
  return { ...rest, absmax: quantized } satisfies FourBitTensor;
}

async function readScales(file: SafetensorsFile, info: TensorInfo): Promise<Float32Array> {
  const values = await readFloats(file, info);
  const at = values.findIndex((value) => !Number.isFinite(value));
  if (at < 0) return values;
  throw new LowrankError({
    code: 'quant.notFinite',
    what: `${file.name}: ${info.name}[${at}]`,
    expected: 'a finite number',
    got: String(values[at]),
    remedy: copyRemedy,
  });
}

async function readFloats(file: SafetensorsFile, { name }: TensorInfo): Promise<Float32Array> {
  return new Float32Array(new Uint8Array(await file.read(name)).buffer);
}

function summary(tensors: readonly TensorInfo[]): { tensors: string[]; bytes: number } {
  return {
    tensors: tensors.map(({ name }) => name),
    bytes: tensors.reduce((sum, { byteLength }) => sum + byteLength, 0),
  };
}

function part(file: SafetensorsFile, name: string, beside: string): TensorInfo {
  const info = file.tensors.get(name);
  if (info === undefined) throw missing(file, name, beside);
  return info;
}

interface Wanted {
  readonly what: string;
  readonly code: string;
}

function expectVector(
  file: SafetensorsFile,
  info: TensorInfo,
  { dtype, length, what, code }: Wanted & { readonly dtype: string; readonly length: number },
): void {
  if (info.dtype === dtype && sizeOf(info.shape) === length) return;
  throw bad({
    code,
    what: `${file.name}: ${info.name}`,
    expected: `${dtype} [${length}], ${what}`,
    got: `${info.dtype} [${info.shape.join(', ')}]`,
  });
}

function expectBytes(
  file: SafetensorsFile,
  info: TensorInfo,
  { bytes, what, code }: Wanted & { readonly bytes: number },
): void {
  if (info.byteLength !== bytes)
    throw bad({
      code,
      what: `${file.name}: ${info.name}`,
      expected: `${bytes} bytes, ${what}`,
      got: String(info.byteLength),
    });
}

function missing(file: SafetensorsFile, name: string, beside: string): LowrankError {
  return new LowrankError({
    code: 'quant.missing',
    what: `${file.name}: ${name}`,
    expected: `this tensor, since ${beside} is there`,
    got: 'none',
    remedy: copyRemedy,
  });
}

function bad({
  code,
  what,
  expected,
  got,
}: Wanted & { readonly expected: string; readonly got: string }): LowrankError {
  return new LowrankError({ code, what, expected, got, remedy: copyRemedy });
}
