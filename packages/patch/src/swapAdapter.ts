import { LowrankError } from '@lowrank/errors';
import type { LoraAdapter } from '@lowrank/lora';
import { beginsInBase, scalingAt, variantOf } from '@lowrank/lora';
import type { Module } from '@lowrank/nn';
import { sourceOf } from '@lowrank/tensor/op';
import { adaptedLayers, requireAdapter } from './adapters.js';
import { requireUnmerged } from './merged.js';
import { copiesOf } from './savedModules.js';
import { tokenLayers } from './trainedRows.js';

/**
 * Puts another adapter's numbers where a loaded one's are, so that all that is compiled goes on with it: no new plan,
 * no new memory. Ranks may be smaller (the rest is zero), scalings may differ (they are scalars), and layers that the
 * new one leaves alone get zeros.
 *
 * @throws LowrankError `patch.swap` when the new one needs layers or ranks that the loaded one does not have: nothing
 * is changed then; `patch.noAdapter`
 */
export function swapAdapter(model: Module, { config, layers }: LoraAdapter, name = 'default'): void {
  requireUnmerged(model, `swapping the adapter ${name}`);
  const places = requireAdapter(adaptedLayers(model), name);
  const rankOf = new Map(places.map(([path, , { a }]) => [path, a.tensor.shape[0] ?? 0]));
  const problems: string[] = [];
  const variant = variantOf(config);
  for (const [path, { rank, inFeatures, outFeatures }] of layers) {
    const place = places.find(([known]) => known === path)?.[1];
    if (place === undefined) problems.push(`${path} is not adapted`);
    else if (place.inFeatures !== inFeatures || place.outFeatures !== outFeatures)
      problems.push(`${path} is ${place.inFeatures} → ${place.outFeatures}, not ${inFeatures} → ${outFeatures}`);
    else if (rank > (rankOf.get(path) ?? 0)) problems.push(`${path} has rank ${rankOf.get(path)}, not ${rank}`);
  }
  if (
    config.modulesToSave !== undefined ||
    config.trainableTokenIndices !== undefined ||
    copiesOf(model, name).length > 0 ||
    tokenLayers(model).some(([, { adapters }]) => adapters.has(name))
  )
    problems.push('modules saved whole or trained token rows, which are no A and B');
  for (const [path, , { a, b }] of places)
    if (a.tensor.node.kind !== 'source' || b.tensor.node.kind !== 'source') problems.push(`${path} is being trained`);
  for (const [path, , weights] of places) {
    if ((weights.variant ?? variantOf({ ...config, useDora: false, variant: undefined })) !== variant)
      problems.push(`${path} has another variant of LoRA`);
    else if (weights.initial !== undefined || beginsInBase(config.init))
      problems.push(`${path} began as a part of its weight: save it first, which makes plain LoRA of it`);
    else if (weights.bias !== undefined || config.loraBias === true || (config.bias ?? 'none') !== 'none')
      problems.push(`${path} has biases`);
    else if (variant.vector !== undefined && layers.get(path)?.vector === undefined)
      problems.push(`${path} has no ${variant.vector}`);
  }
  if (problems.length > 0) {
    throw new LowrankError({
      code: 'patch.swap',
      what: `swapping the adapter ${name}`,
      expected: 'one whose layers and ranks fit within the loaded one’s',
      got: problems.slice(0, 6).join('; '),
      remedy: 'Load the one with the largest ranks first, or load this one under a name of its own.',
    });
  }
  for (const [path, { inFeatures, outFeatures }, { a, b, scale, vector }] of places) {
    const capacity = rankOf.get(path) ?? 0;
    const given = layers.get(path);
    const left = new Float32Array(capacity * inFeatures);
    const right = new Float32Array(outFeatures * capacity);
    if (given !== undefined) {
      left.set(given.a);
      for (let out = 0; out < outFeatures; out++)
        right.set(given.b.subarray(out * given.rank, (out + 1) * given.rank), out * capacity);
    }
    if (vector !== undefined && given?.vector !== undefined) sourceOf(vector.tensor).write(given.vector);
    sourceOf(a.tensor).write(left);
    sourceOf(b.tensor).write(right);
    scale.value = given === undefined ? 0 : scalingAt(config, path);
  }
}
