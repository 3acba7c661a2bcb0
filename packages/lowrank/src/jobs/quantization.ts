import type { LoadOptions } from '@lowrank/models';
import type { QuantizationSettings, quantizationSettings } from '@lowrank/quant';
import { quantizationSettings as declared } from '@lowrank/quant';
import type { OptionsOf } from '@lowrank/settings';
import { checkRequirements } from '@lowrank/settings';

/** How a job quantizes a model while it loads. */
export type QuantizationOptions = OptionsOf<typeof quantizationSettings>;

/** @throws LowrankError `cli.conflict` */
export function quantizationOf(options: QuantizationOptions): QuantizationSettings | undefined {
  checkRequirements({ ...declared, code: 'cli.conflict' }, options);
  const { quantization: type, doubleQuantization } = options;
  if (type === undefined) return undefined;
  return { type, ...(doubleQuantization === undefined ? {} : { doubleQuantization }) };
}

/** What of it the loading of a model takes. @throws LowrankError `cli.conflict` */
export function loadedAs(options: QuantizationOptions): Pick<LoadOptions, 'quantization' | 'quantizeEmbeddings'> {
  return { quantization: quantizationOf(options), quantizeEmbeddings: options.quantizeEmbeddings };
}
