import type { SafetensorsFile, TensorInfo } from '@lowrank/safetensors';
import type { OperandEncoding } from '@lowrank/tensor/op';
import { companions } from './fourBit.js';
import type { QuantizedTensor } from './quantizedTensor.js';
import { encodingOf } from './quantizedTensor.js';
import type { StoredQuantized } from './readQuantized.js';

/** Whether a tensor is of bitsandbytes' layout, or would be only there. */
function isOfCodes([name, { dtype }]: readonly [name: string, info: TensorInfo]): boolean {
  return (
    name.includes('.quant_state.') ||
    [...companions, 'SCB', 'weight_format'].some((end) => name.endsWith(`.${end}`)) ||
    (dtype === 'I8' && name.endsWith('.weight'))
  );
}

/**
 * Finds what is quantized in a checkpoint, by the names of its tensors: bitsandbytes' 4-bit keys (nested or plain) and
 * LLM.int8's. The small JSON states are read; everything that shapes and dtypes imply is checked, so that what is found
 * can be read and laid out. Most checkpoints hold none of it, so its reader is loaded where one does.
 *
 * @throws LowrankError `quant.missing` (a tensor that belongs to others is not there), `quant.type`, `quant.state`,
 * `quant.blockSize`, `quant.offset`, `quant.codes`, `quant.absmax`, `quant.map`, `quant.weightFormat`
 */
export async function findQuantized(file: SafetensorsFile): Promise<Map<string, StoredQuantized>> {
  if (![...file.tensors].some(isOfCodes)) return new Map();
  return (await import('./readQuantized.js')).findQuantized(file);
}

/**
 * Reads a weight that findQuantized found.
 *
 * @throws LowrankError `quant.notFinite` where scales are NaN or infinite
 */
export async function readQuantized(file: SafetensorsFile, stored: StoredQuantized): Promise<QuantizedTensor> {
  return (await import('./readQuantized.js')).readQuantized(file, stored);
}

/** How its matrix is laid out as an operand of matmul; known before its codes are read. */
export function storedEncoding(stored: StoredQuantized): OperandEncoding {
  return encodingOf(stored.type === 'int8' ? stored : { ...stored, nestedBlockSize: stored.nested?.blockSize });
}
