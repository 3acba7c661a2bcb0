import { LowrankError } from '@lowrank/errors';
import { Conv1d, Embedding, Linear } from '@lowrank/nn';
import type { Layer } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { cast, readTensor, square, sum, toFloat32 } from '@lowrank/tensor';
import { decodeMatrix, EncodedMatrix, evaluateReference } from '@lowrank/tensor/op';

/** The weight of a layer that adapters go around, and whether it is held as [in, out]. */
interface HeldWeight {
  readonly weight: Tensor;
  /** The data it is made of. */
  readonly parts: readonly Tensor[];
  readonly transposed: boolean;
}

interface Sizes {
  readonly base: Layer;
  readonly inFeatures: number;
  readonly outFeatures: number;
}

function heldWeight(base: Layer): HeldWeight {
  if (base instanceof Linear) return { weight: base.weight.tensor, parts: [base.weight.tensor], transposed: false };
  if (base instanceof Conv1d || base instanceof Embedding)
    return { weight: base.weight.tensor, parts: [base.weight.tensor], transposed: true };
  // Quantized layers hold codes.
  if ('matrix' in base && base.matrix instanceof EncodedMatrix)
    return { weight: decodeMatrix(base.matrix), parts: base.matrix.parts, transposed: false };
  throw new LowrankError({
    code: 'lora.baseWeight',
    what: 'the weight of a layer',
    expected: 'a linear layer or an embedding',
    got: base.constructor.name,
  });
}

/** A layer's W as [out, in], f32, on the host: for initializations that depend on it. */
export async function baseWeight({ base, inFeatures, outFeatures }: Sizes): Promise<Float32Array> {
  const held = heldWeight(base);
  const values = await valuesOf(held, held.weight);
  if (!held.transposed) return values;
  const turned = new Float32Array(values.length);
  for (let i = 0; i < inFeatures; i++)
    for (let out = 0; out < outFeatures; out++) turned[out * inFeatures + i] = values[i * outFeatures + out];
  return turned;
}

/** ‖Wᵢ‖² of each output's row [out], computed where W lies. */
export async function squaredRowNorms({ base, outFeatures }: Sizes): Promise<Float32Array> {
  const held = heldWeight(base);
  // A model without weights, to be planned or compared with an adapter.
  if (held.parts.every(holdsNothing)) return new Float32Array(outFeatures);
  if (held.weight.node.kind === 'source' && held.weight.node.memory === undefined)
    return hostNorms(await valuesOf(held, held.weight), { outFeatures, transposed: held.transposed });
  return valuesOf(held, sum(square(cast(held.weight, 'f32')), { axis: held.transposed ? 0 : 1 }));
}

function hostNorms(
  values: Float32Array,
  { outFeatures, transposed }: { outFeatures: number; transposed: boolean },
): Float32Array {
  const norms = new Float64Array(outFeatures);
  const inFeatures = values.length / outFeatures;
  for (let at = 0; at < values.length; at++) {
    const out = transposed ? at % outFeatures : Math.floor(at / inFeatures);
    norms[out] += values[at] ** 2;
  }
  return Float32Array.from(norms);
}

/** Whether it is a stored tensor that nothing has been written to. */
export function holdsNothing({ node }: Tensor): boolean {
  return node.kind === 'source' && 'isEmpty' in node && node.isEmpty === true;
}

/** A value that depends on a layer's W, computed where W lies. */
export async function besideBase({ base }: Pick<Sizes, 'base'>, value: Tensor): Promise<Float32Array> {
  return valuesOf(heldWeight(base), value);
}

async function valuesOf({ parts }: HeldWeight, value: Tensor): Promise<Float32Array> {
  const onDevice = parts.some(({ node }) => node.kind === 'source' && node.memory !== undefined);
  if (!onDevice && value.node.kind !== 'source') return Float32Array.from((await evaluateReference([value]))[0] ?? []);
  return toFloat32(await readTensor(value), value.dtype);
}
