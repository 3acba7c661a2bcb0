import type { Shape, Tensor } from '@lowrank/tensor';
import { persistent, tensor } from '@lowrank/tensor';
import { momentBlock, momentMaps, segmentBlock, sizeOf } from '@lowrank/tensor/op';

/** AdamW with its moments in f32, or in 8 bits: a quarter of the memory, and a step that differs in the third digit. */
export const optimizers = ['adamw', 'adamw8bit'] as const;
export type OptimizerName = (typeof optimizers)[number];

/**
 * Parameters with fewer elements keep their moments in f32, as bitsandbytes' do: they are a small part of the memory,
 * and often of more weight.
 */
export const smallest8bit = 4096;

/** What AdamW remembers of a flat vector: both moments in f32, of the vector's shape. */
export interface Moments32 {
  readonly bits: 32;
  readonly first: Tensor;
  readonly second: Tensor;
}

/** The same in 8 bits: a code for each element, a scale of either moment for each block of 256. */
export interface Moments8 {
  readonly bits: 8;
  readonly firstCodes: Tensor;
  readonly secondCodes: Tensor;
  /** [⌈size/256⌉, 2] */
  readonly scales: Tensor;
  /** What codes mean, shared by all vectors. */
  readonly maps: Tensor;
}

export type Moments = Moments32 | Moments8;

/** Where parameters begin within a vector: no block of either table may belong to two. */
export function alignmentOf(bits: Moments['bits']): number {
  return bits === 8 ? momentBlock : segmentBlock;
}

/** Zero moments for a vector of this shape. */
export function makeMoments(shape: Shape, bits: Moments['bits'], maps: () => Tensor): Moments {
  if (bits === 32)
    return {
      bits,
      first: persistent(shape, { name: 'firstMoment' }),
      second: persistent(shape, { name: 'secondMoment' }),
    };
  return {
    bits,
    firstCodes: persistent(shape, { dtype: 'u8', name: 'firstMoment' }),
    secondCodes: persistent(shape, { dtype: 'u8', name: 'secondMoment' }),
    scales: persistent([Math.ceil(sizeOf(shape) / momentBlock), 2], { name: 'momentScales' }),
    maps: maps(),
  };
}

export function mapsTensor(): Tensor {
  return tensor(momentMaps(), [2, 256], { name: 'momentMaps' });
}

/** A tensor of an optimizer's state over a flat vector, as a saved state holds it: cut by parameters. */
export interface OptimizerTensor {
  /** What it is to a parameter: its first moment. */
  readonly name: string;
  /** Row i belongs to elements `span`·i to `span`·(i + 1) of the vector. */
  readonly tensor: Tensor;
  readonly span: number;
  /** The value of elements that belong to no parameter, between segments. Default 0. */
  readonly filler?: number;
}

/** What has to be saved of the moments. */
export function optimizerTensors(moments: Moments): readonly OptimizerTensor[] {
  if (moments.bits === 32)
    return [
      { name: 'firstMoment', tensor: moments.first, span: 1 },
      { name: 'secondMoment', tensor: moments.second, span: 1 },
    ];
  const maps = momentMaps();
  return [
    { name: 'firstCodes', tensor: moments.firstCodes, span: 1, filler: maps.subarray(0, 256).indexOf(0) },
    { name: 'secondCodes', tensor: moments.secondCodes, span: 1, filler: maps.subarray(256).indexOf(0) },
    { name: 'momentScales', tensor: moments.scales, span: momentBlock },
  ];
}

/** All that the moments own. */
export function momentTensors(moments: Moments): Tensor[] {
  return moments.bits === 32
    ? [moments.first, moments.second]
    : [moments.firstCodes, moments.secondCodes, moments.scales, moments.maps];
}
