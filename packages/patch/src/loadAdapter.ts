import { LowrankError } from '@lowrank/errors';
import type { LoraAdapter, LoraAdapterFiles, LoraMatrices, LoraWeights, NamedVariant } from '@lowrank/lora';
import { LoraEmbedding, rankAt, readAdapterFiles, scalingAt, variantOf } from '@lowrank/lora';
import type { Module } from '@lowrank/nn';
import { Embedding, Parameter } from '@lowrank/nn';
import { scalar, tensor } from '@lowrank/tensor';
import { wrapLayer } from './adaptedLayers.js';
import { recordsOf } from './adapterRecords.js';
import type { AdapterOptions, PlacedAdapter } from './placeAdapter.js';
import { fitPaths } from './fitPaths.js';
import { growTokens } from './growTokens.js';
import { checkRoom, placeAdapter } from './placeAdapter.js';
import { addCopies } from './savedModules.js';
import { splitWhole } from './savedPlaces.js';
import { checkWhole, restoreWhole } from './savedWhole.js';
import type { Adaptable } from './targets.js';
import { matchLoaded } from './targets.js';
import { addRows } from './tokenRows.js';

/** Options of `loadAdapter`. */
export interface LoadAdapterOptions extends AdapterOptions {
  /** Variants of your own that the files may name. */
  readonly variants?: readonly NamedVariant[] | undefined;
  /** Gets a sentence for what is left out: matrices of an image tower that the model lacks. */
  readonly onWarning?: ((text: string) => void) | undefined;
}

/**
 * Puts a saved adapter around the layers it belongs to, makes it the active one and freezes everything else. Layers
 * whose variant depends on W read W first (DoRA's norms), one at a time; where A and B began as a part of W (PiSSA,
 * OLoRA, not converted), that part is found again.
 *
 * @param saved an adapter on the host, or its files' bytes by name
 * @throws LowrankError `patch.adapterMismatch` when layers that the configuration names have no matrices, matrices
 * belong to no layer, or shapes and ranks do not fit; `patch.adapterExists`, `patch.output`; `lora.config`, `lora.svd`,
 * `lora.baseWeight`; of bytes also what lora's `readAdapter` throws
 */
export async function loadAdapter(
  model: Module,
  saved: LoraAdapter | LoraAdapterFiles,
  options: LoadAdapterOptions = {},
): Promise<PlacedAdapter> {
  const { name = 'default', seed = 0, variants } = options;
  const read = 'layers' in saved ? saved : await readAdapterFiles(saved, { variants });
  const adapter = fitPaths(model, read, options.onWarning);
  const { config, layers, tokens = new Map() } = adapter;
  await growTokens(model, adapter);
  const targets = matchLoaded(model, config);
  const { copies, rest } = splitWhole(model, config, adapter.whole);
  checkRoom(model, config, { ...options, targets });
  checkFit(model, targets, { ...adapter, whole: rest });
  const tables = restoreWhole(model, rest);
  if (tables.length > 0) recordsOf(model).tables.set(name, tables);
  return placeAdapter(model, { name, config }, async () => {
    for (const [path, target] of targets) {
      const matrices = layers.get(path);
      if (matrices === undefined) continue;
      const layer = wrapLayer(model, path, target);
      const [rank, scaling] = [rankAt(config, path), scalingAt(config, path)];
      const initial = await layer.partOfBase({ init: config.init, rank, scaling, seed });
      const weights = { ...weightsOf(path, matrices, { config, name }), initial };
      layer.add(name, (await weights.variant?.prepare?.(layer, weights)) ?? weights);
    }
    await addCopies(model, config, name, copies);
    await addRows(model, config, name, tokens);
  });
}

/**
 * Checks that a saved adapter fits a model, which may be without weights, and changes nothing.
 *
 * @throws LowrankError `patch.adapterMismatch`, `patch.adapterExists`, `patch.output`
 */
export function checkAdapter(model: Module, adapter: LoraAdapter, options: AdapterOptions = {}): void {
  const { config } = adapter;
  const targets = matchLoaded(model, config);
  checkRoom(model, config, { ...options, targets });
  checkFit(model, targets, { ...adapter, whole: splitWhole(model, config, adapter.whole).rest });
}

function weightsOf(
  path: string,
  { a, b, rank, inFeatures, outFeatures, bias, vector }: LoraMatrices,
  { config, name }: Pick<PlacedAdapter, 'config' | 'name'>,
): LoraWeights {
  const row = (values: Float32Array | undefined, title: string): Parameter | undefined =>
    values === undefined ? undefined : new Parameter(tensor(values, [outFeatures], { name: `${path}.${title}` }));
  return {
    a: new Parameter(tensor(a, [rank, inFeatures], { name: `${path}.lora_A` })),
    b: new Parameter(tensor(b, [outFeatures, rank], { name: `${path}.lora_B` })),
    scale: scalar(scalingAt(config, path), { name: `scale.${name}` }),
    dropout: config.dropout,
    variant: variantOf(config),
    bias: row(bias, 'lora_B.bias'),
    vector: row(vector, 'vector'),
  };
}

function checkFit(
  model: Module,
  targets: ReadonlyMap<string, Adaptable>,
  { config, layers, whole }: LoraAdapter,
): void {
  const problems = checkWhole(model, targets, whole);
  for (const path of targets.keys())
    if (!layers.has(path)) problems.push(`${path}: in target_modules, but without matrices`);
  for (const [path, matrices] of layers) {
    const problem = layerProblem(targets.get(path), matrices, rankAt(config, path));
    if (problem !== undefined) problems.push(`${path}: ${problem}`);
  }
  if (problems.length === 0) return;
  const shown = problems.slice(0, 6).join('; ');
  throw new LowrankError({
    code: 'patch.adapterMismatch',
    what: 'the adapter',
    expected: 'matrices for exactly the layers it targets, in this model’s shapes',
    got: problems.length > 6 ? `${shown}; and ${problems.length - 6} more` : shown,
    remedy: 'Use the base model that the adapter was trained on.',
  });
}

function layerProblem(
  layer: Adaptable | undefined,
  { rank, inFeatures, outFeatures, embedding = false }: LoraMatrices,
  wanted: number,
): string | undefined {
  if (layer === undefined) return 'no such target in this model';
  if (embedding !== (layer instanceof Embedding || layer instanceof LoraEmbedding))
    return `made for ${embedding ? 'an embedding' : 'a linear layer'}`;
  const [input, output] =
    layer instanceof Embedding ? layer.weight.tensor.shape : [layer.inFeatures, layer.outFeatures];
  if (input !== inFeatures || output !== outFeatures)
    return `made for ${inFeatures} → ${outFeatures}, the layer is ${input} → ${output}`;
  return rank === wanted ? undefined : `rank ${rank}, the configuration says ${wanted}`;
}
