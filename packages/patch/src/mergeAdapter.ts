import { LowrankError } from '@lowrank/errors';
import type { LoraLayer, LoraWeights, LowRankUpdate, MergedAdapter } from '@lowrank/lora';
import { mergeWeight, unmergeWeight } from '@lowrank/lora';
import type { Module } from '@lowrank/nn';
import { Embedding, Linear } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { fromNumbers, readTensor, toFloat32 } from '@lowrank/tensor';
import { hostArray, sourceOf } from '@lowrank/tensor/op';
import { adaptedLayers, requireAdapter } from './adaptedLayers.js';
import { recordsOf } from './adapterRecords.js';
import { requireUnmerged } from './mergeGuards.js';
import type { MergePlace } from './mergePlace.js';
import { biasOf, mergePlace, requireWholeActive } from './mergePlace.js';
import { matricesOf } from './saveAdapter.js';

/** Options of `mergeAdapter`. */
export interface MergeAdapterOptions {
  /**
   * Everything is computed and looked at before anything is changed; default true. Without it each layer is computed
   * once and written at once: where a number is not finite, the layers before it are unmerged again, and may come back
   * with other last bits.
   */
  readonly safe?: boolean;
}

/** What becomes of a layer. */
interface Change {
  readonly weight: Uint8Array;
  readonly bias: Float32Array | undefined;
}

interface Merged extends Change {
  readonly record: readonly MergedAdapter[];
  /** For the variant's constant while the adapter is merged, by its name: what makes its factor 1. */
  readonly resting: ReadonlyMap<string, Float32Array>;
}

/**
 * Merges adapters into the weights of their layers, in place, for speed (PEFT's `merge_adapter`): W becomes W + s·B·A,
 * or what another variant makes of it, with PEFT's arithmetic, in W's own memory. No second copy is kept, what is
 * compiled goes on with the merged weights, and `unmergeAdapter` takes them out again. While they are merged the base
 * alone is used, and no other adapter. A weight that an embedding shares with the output projection changes for both,
 * as in PEFT.
 *
 * @param names default: the active ones
 * @returns the paths of the layers that changed
 * @throws LowrankError `patch.merged` when some are merged already, `patch.noAdapter`, `patch.mergeActive` when another
 * adapter is active, or one is not that has more than A and B, `patch.mergeEncoding` (codes), `patch.mergeDerived` (a
 * subspace), `patch.mergeBias`, `patch.mergeDora` (DoRA together with others), `patch.mergeVariant` (one that cannot be
 * unmerged), `lora.mergeNotFinite`: nothing is changed then
 */
export async function mergeAdapter(
  model: Module,
  names: string | readonly string[] = recordsOf(model).active,
  { safe = true }: MergeAdapterOptions = {},
): Promise<string[]> {
  requireUnmerged(model, 'merging adapters');
  const chosen = typeof names === 'string' ? [names] : names;
  for (const name of chosen) requireAdapter(model, name);
  const left = recordsOf(model).active.filter((name) => !chosen.includes(name));
  if (left.length > 0)
    throw new LowrankError({
      code: 'patch.mergeActive',
      what: `merging ${chosen.join(', ')}`,
      expected: 'every active adapter among them, since merged layers use no other',
      got: `${left.join(', ')} active too`,
      remedy: 'Set the active adapters first (activateAdapter), or merge these too.',
    });
  requireWholeActive(model, chosen);
  const places = [...adaptedLayers(model)].flatMap(([path, layer]) => mergePlace(path, layer, chosen));
  if (safe) for (const place of places) await merged(place);
  const done: MergePlace[] = [];
  try {
    for (const place of places) {
      apply(place, await merged(place));
      done.push(place);
    }
  } catch (error) {
    for (const place of done.reverse()) await unmerge(place);
    throw error;
  }
  return places.map(({ path }) => path);
}

/**
 * Takes merged adapters out of the weights again, which are what they were up to rounding: for weights in f32 logits
 * agree within 1e-4, and mostly 1e-6. In 16 bits each weight may come back one unit in its last place away: where that
 * matters, load the model again.
 *
 * @returns the paths of the layers that changed
 * @throws LowrankError `patch.notMerged` when no adapter is merged
 */
export async function unmergeAdapter(model: Module): Promise<string[]> {
  const places = [...adaptedLayers(model)].flatMap(([path, layer]) =>
    layer.merged.length === 0
      ? []
      : mergePlace(
          path,
          layer,
          layer.merged.map(({ name }) => name),
        ),
  );
  if (places.length === 0)
    throw new LowrankError({
      code: 'patch.notMerged',
      what: 'unmerging adapters',
      expected: 'adapters that mergeAdapter has merged',
      got: 'none',
    });
  // The last first: an embedding and an output projection may be of one table.
  for (const place of [...places].reverse()) await unmerge(place);
  return places.map(({ path }) => path);
}

/** The merged weight, with nothing changed yet. */
async function merged(place: MergePlace): Promise<Merged> {
  const { layer, dtype, adapters } = place;
  let { weight, bias } = await held(place);
  const record: MergedAdapter[] = [];
  const resting = new Map<string, Float32Array>();
  for (const [name, weights] of adapters) {
    const own = { scaling: weights.scale.value, kept: new Float32Array(layer.outFeatures) };
    const { update, shift } = await updateOf(layer, weights, own);
    weight = mergeWeight(weight, dtype, update);
    bias = bias?.map((value, at) => value + (shift?.[at] ?? 0));
    record.push({
      name,
      ...own,
      constant: weights.constant === undefined ? undefined : await numbersOf(weights.constant),
    });
    const still = update.vector === undefined ? undefined : weights.variant?.resting?.(update.vector);
    if (still !== undefined) resting.set(name, still);
  }
  if (bias?.every(Number.isFinite) === false)
    throw new LowrankError({
      code: 'lora.mergeNotFinite',
      what: `the merged bias of ${place.path}`,
      expected: 'finite numbers',
      got: 'NaN or infinity',
      remedy: 'The adapter is damaged.',
    });
  return { weight, bias, record, resting };
}

async function unmerge(place: MergePlace): Promise<void> {
  const { layer, dtype } = place;
  let { weight, bias } = await held(place);
  for (const { name, ...own } of [...layer.merged].reverse()) {
    const weights = layer.adapters.get(name);
    if (weights === undefined) continue;
    const { update, shift } = await updateOf(layer, weights, own);
    weight = unmergeWeight(weight, dtype, update);
    bias = bias?.map((value, at) => value - (shift?.[at] ?? 0));
  }
  write(place, { weight, bias });
  for (const { name, scaling, constant } of layer.merged) {
    const weights = layer.adapters.get(name);
    if (weights === undefined) continue;
    weights.scale.value = scaling;
    if (weights.constant !== undefined && constant !== undefined) sourceOf(weights.constant).write(constant);
  }
  layer.merged = [];
}

function apply(place: MergePlace, { record, resting, ...change }: Merged): void {
  write(place, change);
  const { layer, adapters } = place;
  layer.merged = record;
  for (const [name, { scale, constant }] of adapters) {
    // Functions traced with the unmerged adapter keep their results: its factor is 0 from now on, and a variant's
    // constant rests.
    scale.value = 0;
    const still = resting.get(name);
    if (constant !== undefined && still !== undefined) sourceOf(constant).write(still);
  }
}

/** A layer's weight as it is, and its bias where an adapter has a part in it. */
async function held({ layer, weight, adapters }: MergePlace): Promise<Change> {
  const { buffer, byteOffset, byteLength } = await readTensor(weight.tensor);
  const bias = adapters.some(([, own]) => own.bias !== undefined) ? biasOf(layer) : undefined;
  return {
    weight: new Uint8Array(buffer, byteOffset, byteLength),
    bias: bias === undefined ? undefined : await numbersOf(bias.tensor),
  };
}

function write({ layer, weight }: MergePlace, { weight: bytes, bias }: Change): void {
  sourceOf(weight.tensor).write(hostArray(weight.tensor.dtype, new Uint8Array(bytes).buffer));
  const own = biasOf(layer)?.tensor;
  if (own !== undefined && bias !== undefined) sourceOf(own).write(fromNumbers(bias, own.dtype));
}

/** An adapter as `mergeWeight` takes it, and what its bias adds to the base's. */
async function updateOf(
  layer: LoraLayer,
  weights: LoraWeights,
  { scaling, kept }: Pick<MergedAdapter, 'scaling' | 'kept'>,
): Promise<{ update: LowRankUpdate; shift: Float32Array | undefined }> {
  const { base } = layer;
  const { bias, ...matrices } = await matricesOf(layer, weights);
  const update: LowRankUpdate = {
    ...matrices,
    scaling,
    kept,
    variant: weights.variant,
    transposed: !(base instanceof Linear),
    narrowDelta: base instanceof Embedding,
  };
  return { update, shift: bias?.map((value) => value * scaling) };
}

async function numbersOf(tensor: Tensor): Promise<Float32Array> {
  return toFloat32(await readTensor(tensor), tensor.dtype).slice();
}
