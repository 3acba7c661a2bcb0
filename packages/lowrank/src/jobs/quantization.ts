import { LowrankError } from '@lowrank/errors';
import type { QuantizationSettings } from '@lowrank/quant';

export const quantizationTypes = ['nf4', 'fp4', 'int8'] as const;

/** How a job quantizes a model while it loads. */
export interface QuantizationFlags {
  /** Default: as the model is stored. */
  readonly quantization?: (typeof quantizationTypes)[number];
  readonly doubleQuantization?: boolean;
}

/** @throws LowrankError `cli.conflict` */
export function quantizationOf({
  quantization: type,
  doubleQuantization,
}: QuantizationFlags): QuantizationSettings | undefined {
  if (type !== undefined) return { type, ...(doubleQuantization === undefined ? {} : { doubleQuantization }) };
  if (doubleQuantization !== true) return undefined;
  throw new LowrankError({
    code: 'cli.conflict',
    what: '--double-quantization',
    expected: '--quantization nf4 or fp4 beside it',
    got: 'no --quantization',
  });
}
