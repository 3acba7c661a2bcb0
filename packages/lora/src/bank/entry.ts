import { Parameter } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { readTensor, scalar, tensor, toFloat32 } from '@lowrank/tensor';
import type { LoraMatrices } from '../loraAdapter.js';
import { besideBase } from '../numeric/baseWeight.js';
import type { LoraConfig } from '../config.js';
import { scalingAt } from '../scaling.js';
import { beginsInBase } from '../loraInit.js';
import type { LoraLayer } from '../loraLayer.js';
import { plainMatrices } from '../plainAdapter.js';
import type { LoraVariant, LoraWeights } from '../variant.js';
import { plain } from '../variants/plain.js';
import { variantOf } from '../variantOf.js';

/** One layer's part of an adapter as a slot of a bank holds it. */
export interface BankEntry {
  /** A [R, in], or Aᵀ [vocabulary, R] of an embedding. */
  readonly down: Float32Array;
  /** s·Bᵀ [R, out], where DoRA has a factor f times that. */
  readonly up: Float32Array;
  /** s·bias [out] */
  readonly bias?: Float32Array | undefined;
  /** f − 1 [out] */
  readonly factor?: Float32Array | undefined;
}

/** Options of `bankEntry`: the layer that an adapter's matrices are made ready for. */
export interface EntryOptions {
  readonly config: LoraConfig;
  /** Of the layer, for its own rank and alpha. */
  readonly path: string;
  /** R, of the bank. */
  readonly rank: number;
}

/**
 * Whether a bank can hold what a configuration's variant computes: base(x) + (f − 1)·Wx + f·s·BAx with f a number for
 * each output, 1 for plain LoRA.
 */
export function fitsBank(config: LoraConfig): boolean {
  const variant = variantOf(config);
  return variant === plain || (variant.factor !== undefined && !beginsInBase(config.init));
}

/**
 * The rank that a layer's matrices take of a bank: twice their own where they began as a part of W, which is taken off
 * again.
 */
export function bankRank({ rank, embedding = false }: LoraMatrices, { init }: LoraConfig): number {
  return beginsInBase(init) && !embedding ? 2 * rank : rank;
}

/**
 * One layer's matrices made ready for a slot. What depends on W is computed here, on the device that W lies on: DoRA's
 * norms, and what A and B began as where that is a part of W.
 *
 * @param layer around the base that the adapter is for; nothing is added to it
 */
export async function bankEntry(
  layer: LoraLayer,
  matrices: LoraMatrices,
  { config, path, rank }: EntryOptions,
): Promise<BankEntry> {
  const scaling = scalingAt(config, path);
  const initial = beginsInBase(config.init)
    ? await layer.partOfBase({ init: config.init, rank: matrices.rank, scaling, seed: 0 })
    : undefined;
  const own =
    initial === undefined
      ? matrices
      : plainMatrices(matrices, { a: await valuesOf(initial.a), b: await valuesOf(initial.b) });
  const factor = await factorOf(layer, matrices, { variant: variantOf(config), scaling });
  const { inFeatures, outFeatures, bias } = own;
  const up = new Float32Array(rank * outFeatures);
  for (let out = 0; out < outFeatures; out++) {
    const scale = scaling * (factor?.[out] ?? 1);
    for (let k = 0; k < own.rank; k++) up[k * outFeatures + out] = scale * (own.b[out * own.rank + k] ?? NaN);
  }
  const down = new Float32Array(rank * inFeatures);
  if (layer.embedding)
    for (let k = 0; k < own.rank; k++)
      for (let i = 0; i < inFeatures; i++) down[i * rank + k] = own.a[k * inFeatures + i] ?? NaN;
  else down.set(own.a);
  return { down, up, bias: bias?.map((value) => value * scaling), factor: factor?.map((value) => value - 1) };
}

/** f [out] */
async function factorOf(
  layer: LoraLayer,
  { a, b, rank, vector }: LoraMatrices,
  { variant, scaling }: { variant: LoraVariant; scaling: number },
): Promise<Float32Array | undefined> {
  if (variant.factor === undefined) return undefined;
  const { inFeatures, outFeatures } = layer;
  const parameter = (values: Float32Array, shape: readonly number[]): Parameter =>
    new Parameter(tensor(values, shape), false);
  const given: LoraWeights = {
    a: parameter(a, [rank, inFeatures]),
    b: parameter(b, [outFeatures, rank]),
    scale: scalar(scaling),
    dropout: 0,
    variant,
    vector: vector === undefined ? undefined : parameter(vector, [outFeatures]),
  };
  const weights = (await variant.prepare?.(layer, given)) ?? given;
  try {
    return await besideBase(layer, variant.factor(layer, weights));
  } finally {
    const made: (Tensor | undefined)[] = [weights.a.tensor, weights.b.tensor, weights.vector?.tensor, weights.constant];
    for (const value of made) value?.dispose();
  }
}

async function valuesOf({ tensor: values }: Parameter): Promise<Float32Array> {
  return toFloat32(await readTensor(values), values.dtype);
}
