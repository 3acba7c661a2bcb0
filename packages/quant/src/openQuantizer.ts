import type { Quantizer, QuantizeOptions } from './quantizer.js';

/**
 * A Quantizer, with the arithmetic of quantization loaded for it: a page that quantizes nothing has no use for that.
 *
 * @throws LowrankError `quant.blockSize`, `quant.shape`
 */
export async function openQuantizer(options: QuantizeOptions): Promise<Quantizer> {
  const loaded = await import('./quantizer.js');
  return new loaded.Quantizer(options);
}
