import { LowrankError } from '@lowrank/errors';
import type { TensorEntry } from '@lowrank/safetensors';
import type { QuantizedTensor } from './quantizedTensor.js';
import { serializeQuantState } from './quantState.js';

/** A tensor to be written whose bytes are there. */
export type QuantizedEntry = TensorEntry & { readonly data: Uint8Array };

/**
 * A quantized weight as the tensors that bitsandbytes stores for it, so that transformers loads them: names, dtypes,
 * shapes and bytes are its own.
 *
 * @param name of the weight: `….weight`
 * @throws LowrankError `quant.name` where an int8 weight has another name
 */
export function quantizedEntries(name: string, tensor: QuantizedTensor): QuantizedEntry[] {
  return tensor.type === 'int8' ? int8Entries(name, tensor) : fourBitEntries(name, tensor);
}

function fourBitEntries(
  name: string,
  { type, shape, blockSize, codes, absmax, table, dtype }: Exclude<QuantizedTensor, { type: 'int8' }>,
): QuantizedEntry[] {
  const nested = absmax instanceof Float32Array ? undefined : absmax;
  const scales =
    absmax instanceof Float32Array
      ? entry(`${name}.absmax`, 'F32', absmax)
      : entry(`${name}.absmax`, 'U8', absmax.codes);
  return [
    { ...entry(name, 'U8', codes), shape: [codes.length, 1] },
    scales,
    ...(nested === undefined
      ? []
      : [entry(`${name}.nested_absmax`, 'F32', nested.absmax), entry(`${name}.nested_quant_map`, 'F32', nested.map)]),
    entry(`${name}.quant_map`, 'F32', table),
    entry(
      `${name}.quant_state.bitsandbytes__${type}`,
      'U8',
      serializeQuantState({ type, blockSize, dtype, shape, nested }),
    ),
  ];
}

function int8Entries(
  name: string,
  { shape, codes, absmax }: Extract<QuantizedTensor, { type: 'int8' }>,
): QuantizedEntry[] {
  const module = name.replace(/\.weight$/, '');
  if (module === name)
    throw new LowrankError({
      code: 'quant.name',
      what: `the int8 weight ${name}`,
      expected: 'a name that ends with .weight, beside which its scales can lie',
      got: name,
    });
  return [
    { ...entry(name, 'I8', codes), shape },
    entry(`${module}.SCB`, 'F32', absmax),
    { ...entry(`${module}.weight_format`, 'U8', new Uint8Array(1)), shape: [] },
  ];
}

function entry(name: string, dtype: 'F32' | 'U8' | 'I8', data: Float32Array | Uint8Array | Int8Array): QuantizedEntry {
  return { name, dtype, shape: [data.length], data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
}
