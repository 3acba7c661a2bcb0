import { LowrankError, parseJson, shown } from '@lowrank/errors';
import type { FloatDtype } from './numeric/floats.js';
import type { FourBitType } from './fourBit.js';
import { checkBlockSize, isFourBitType } from './fourBit.js';

/** The JSON that bitsandbytes stores as a tensor `….quant_state.bitsandbytes__nf4` beside the codes. */
export interface QuantState {
  readonly type: FourBitType;
  readonly blockSize: number;
  readonly dtype: FloatDtype;
  readonly shape: readonly number[];
  readonly nested?: { readonly blockSize: number; readonly offset: number } | undefined;
}

const dtypeNames: Readonly<Record<FloatDtype, string>> = { f32: 'float32', f16: 'float16', bf16: 'bfloat16' };

/**
 * As `QuantState.as_dict(packed=True)` of bitsandbytes writes it: the same keys in the same order, with Python's spaces
 * and numbers.
 */
export function serializeQuantState({ type, blockSize, dtype, shape, nested }: QuantState): Uint8Array {
  const entries = [
    ['quant_type', `"${type}"`],
    ['blocksize', String(blockSize)],
    ['dtype', `"${dtypeNames[dtype]}"`],
    ['shape', `[${shape.join(', ')}]`],
    ...(nested === undefined
      ? []
      : [
          ['nested_blocksize', String(nested.blockSize)],
          ['nested_dtype', '"float32"'],
          ['nested_offset', pythonFloat(nested.offset)],
        ]),
  ];
  return new TextEncoder().encode(`{${entries.map(([key, value]) => `"${key}": ${value}`).join(', ')}}`);
}

/**
 * Python's repr of a finite float: the shortest digits, as in JavaScript, but its own rules for exponents and whole
 * numbers.
 */
function pythonFloat(value: number): string {
  const [digits = '0', exponent = '0'] = value.toExponential().split('e');
  const power = Number(exponent);
  if (value !== 0 && (power < -4 || power >= 16))
    return `${digits}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
  const plain = Object.is(value, -0) ? '-0' : String(value);
  // JavaScript writes 1e-5 and less with an exponent, and nothing from 1e-4 to 1e16.
  return plain.includes('.') ? plain : `${plain}.0`;
}

/**
 * Reads such a tensor and checks each of its values.
 *
 * @param what what errors call it @param suffix the type that the tensor's name ends with
 * @throws LowrankError `quant.state`, `quant.type`, `quant.blockSize`, `quant.offset`
 */
export function parseQuantState(bytes: Uint8Array, what: string, suffix: FourBitType): QuantState {
  const json = parseObject(bytes, what);
  const { quant_type: type, dtype: dtypeName, shape } = json;
  if (!isFourBitType(type))
    throw new LowrankError({
      code: 'quant.type',
      what: `${what}, quant_type`,
      expected: 'nf4 or fp4',
      got: show(type),
      remedy: updateRemedy,
    });
  if (type !== suffix) throw bad(`${what}, quant_type`, `${suffix}, which its name ends with`, show(type));
  const dtype = (Object.keys(dtypeNames) as FloatDtype[]).find((name) => dtypeNames[name] === dtypeName);
  if (dtype === undefined) throw bad(`${what}, dtype`, Object.values(dtypeNames).join(', '), show(dtypeName));
  if (!isShape(shape)) throw bad(`${what}, shape`, 'a list of whole numbers above 0', show(shape));
  const blockSize = checkBlockSize(json['blocksize'], `${what}, blocksize`);
  return { type, blockSize, dtype, shape, nested: nestedOf(json, what) };
}

function nestedOf(json: Readonly<Record<string, unknown>>, what: string): QuantState['nested'] {
  const { nested_blocksize: blockSize, nested_dtype: dtype, nested_offset: offset } = json;
  if (blockSize === undefined && dtype === undefined && offset === undefined) return undefined;
  if (typeof offset !== 'number')
    throw new LowrankError({
      code: 'quant.offset',
      what: `${what}, nested_offset`,
      expected: 'a finite number, without which no scale can be decoded',
      got: show(offset),
      remedy: copyRemedy,
    });
  if (typeof blockSize !== 'number' || !Number.isInteger(blockSize) || blockSize < 1)
    throw new LowrankError({
      code: 'quant.blockSize',
      what: `${what}, nested_blocksize`,
      expected: 'a whole number above 0',
      got: show(blockSize),
      remedy: copyRemedy,
    });
  if (dtype !== 'float32') throw bad(`${what}, nested_dtype`, 'float32', show(dtype));
  return { blockSize, offset: Math.fround(offset) };
}

function parseObject(bytes: Uint8Array, what: string): Record<string, unknown> {
  try {
    const value: unknown = parseJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
    throw bad(what, 'a JSON object', show(value));
  } catch (cause) {
    if (cause instanceof LowrankError) throw cause;
    throw bad(what, 'JSON', cause instanceof Error ? cause.message.slice(0, 80) : 'none');
  }
}

function isShape(shape: unknown): shape is number[] {
  return (
    Array.isArray(shape) &&
    shape.length > 0 &&
    shape.every((dim) => Number.isSafeInteger(dim) && dim > 0) &&
    Number.isSafeInteger(shape.reduce((size: number, dim: number) => size * dim, 1))
  );
}

export const copyRemedy = 'The file is damaged, or parts of two files were mixed; download or quantize it again.';
const updateRemedy = 'The file is damaged, or was written by a version of bitsandbytes that is not known here.';

function show(value: unknown): string {
  const text = shown(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function bad(what: string, expected: string, got: string): LowrankError {
  return new LowrankError({ code: 'quant.state', what, expected, got, remedy: copyRemedy });
}
