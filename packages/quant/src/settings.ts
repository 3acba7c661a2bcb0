import { LowrankError } from '@lowrank/errors';
import type { Tensor } from '@lowrank/tensor';
import type { OperandEncoding } from '@lowrank/tensor/op';
import { persistent } from '@lowrank/tensor';
import { EncodedMatrix, encodingSpecs } from '@lowrank/tensor/op';
import { checkBlockSize, nestedBlockSize } from './fourBit.js';
import type { QuantizationType } from './quantizedTensor.js';
import { encodingOf } from './quantizedTensor.js';

/** How a model's linear layers are to be quantized. */
export interface QuantizationSettings {
  readonly type: QuantizationType;
  /** Of a 4-bit type; 64 by default. */
  readonly blockSize?: number | undefined;
  /** Of a 4-bit type: its scales are quantized too. */
  readonly doubleQuantization?: boolean | undefined;
  /** Layers left as they are, as transformers' `llm_int8_skip_modules` names them (isSkipped). */
  readonly skipModules?: readonly string[] | undefined;
}

/** @throws LowrankError `quant.settings`, `quant.blockSize` for what makes no sense */
export function checkSettings({ type, blockSize, doubleQuantization }: QuantizationSettings): void {
  if (type !== 'int8') checkBlockSize(blockSize ?? 64);
  else if (doubleQuantization === true || blockSize !== undefined) {
    throw new LowrankError({
      code: 'quant.settings',
      what: 'quantization to int8',
      expected: 'neither double quantization nor a block size',
      got: doubleQuantization === true ? 'double quantization' : `a block size of ${blockSize}`,
      remedy: 'int8 has one scale per row; choose nf4 or fp4 for blocks.',
    });
  }
}

/** The encoding of a matrix under these settings. */
export function encodingFor(
  { type, blockSize = 64, doubleQuantization = false }: QuantizationSettings,
  shape: readonly [rows: number, columns: number],
): OperandEncoding {
  if (type === 'int8') return encodingOf({ type, shape });
  return encodingOf({ type, shape, blockSize, nestedBlockSize: doubleQuantization ? nestedBlockSize : undefined });
}

/** A matrix whose codes follow later: nothing is held on the host. */
export function emptyMatrix(encoding: OperandEncoding, name: string): EncodedMatrix {
  const parts = encodingSpecs(encoding).map(({ shape, dtype }, at): Tensor =>
    persistent(shape, { dtype, name: at === 0 ? name : `${name}.${at === 1 ? 'absmax' : 'nested'}` }),
  );
  return new EncodedMatrix(encoding, parts);
}
