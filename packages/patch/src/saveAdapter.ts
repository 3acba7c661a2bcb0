import type { LoraAdapter, LoraConfig, LoraLayer, LoraMatrices, LoraWeights, WholeTensor } from '@lowrank/lora';
import { beginsInBase, plainConfig, plainMatrices } from '@lowrank/lora';
import type { Module, Parameter } from '@lowrank/nn';
import { Conv1d, isResized } from '@lowrank/nn';
import { readTensor, toFloat32 } from '@lowrank/tensor';
import { layersWith, requireAdapter } from './adaptedLayers.js';
import { recordsOf } from './adapterRecords.js';
import { asBytes, fileDtypeOf } from './fileDtypes.js';
import { resizedTables } from './growTokens.js';
import { placeOf } from './savedWhole.js';
import { biasesOf } from './biases.js';
import { requireUnmerged } from './mergeGuards.js';
import { copiesOf } from './savedModules.js';
import { savedConfig } from './savedPlaces.js';
import { namesOf } from './targets.js';
import { extractRows } from './tokenRows.js';

/**
 * Reads an adapter back from wherever its matrices live: what `loadAdapter` takes, and lora's `serializeAdapter` makes
 * PEFT's files of. As PEFT does, it names the layers in place of 'all-linear', and says `fan_in_fan_out` as the layers
 * have it. An adapter that began as a part of W (PiSSA, OLoRA) becomes plain LoRA of twice the rank, which goes with
 * the base as it is.
 *
 * @throws LowrankError `patch.noAdapter`, `patch.merged` for biases of B and of the base together
 */
export async function saveAdapter(
  model: Module,
  { name = 'default' }: { readonly name?: string } = {},
): Promise<LoraAdapter> {
  requireAdapter(model, name);
  const config = recordsOf(model).configs.get(name);
  if (config === undefined) throw new TypeError(`the adapter ${name} was not put into this model by addAdapter`);
  // Merged, a bias of B lies in the base's bias.
  if (config.loraBias === true && config.bias !== undefined && config.bias !== 'none')
    requireUnmerged(model, `saving the adapter ${name}`);
  const doubled = beginsInBase(config.init);
  const adapted = layersWith(model, name);
  const layers = new Map<string, LoraMatrices>();
  for (const [path, layer, weights] of adapted) layers.set(path, await matricesOf(layer, weights, doubled));
  const whole = await wholeTensors(model, name, config);
  const tokens = await extractRows(model, name, config);
  const isShorthand = config.targetModules.toString().toLowerCase() === 'all-linear';
  return {
    config: {
      ...savedConfig(model, doubled ? plainConfig(config) : config),
      fanInFanOut: adapted.some(([, { base }]) => base instanceof Conv1d),
      ...(isShorthand ? { targetModules: namesOf(model, [...layers.keys()]) } : {}),
    },
    layers,
    ...(whole.size === 0 ? {} : { whole }),
    ...(tokens.size === 0 ? {} : { tokens }),
  };
}

async function wholeTensors(model: Module, name: string, config: LoraConfig): Promise<Map<string, WholeTensor>> {
  const whole = new Map<string, WholeTensor>();
  const saved = [
    ...biasesOf(model, name, config).map(({ name: path, parameter }) => [path, parameter] as const),
    ...copiesOf(model, name),
  ];
  for (const [path, parameter] of saved)
    whole.set(path, {
      dtype: 'F32',
      shape: parameter.tensor.shape,
      data: new Uint8Array((await valuesOf(parameter)).slice().buffer),
    });
  const tables = [...(recordsOf(model).tables.get(name) ?? []), ...(isResized(model) ? resizedTables(model) : [])];
  for (const table of new Set(tables)) {
    const own = placeOf(model, table)?.own;
    const dtype = own === undefined ? undefined : fileDtypeOf(own.dtype);
    if (own === undefined || dtype === undefined) continue;
    whole.set(table, { dtype, shape: own.shape, data: asBytes(await readTensor(own)).slice() });
  }
  return whole;
}

/** One adapter of a layer, on the host. @param doubled as plain LoRA of twice the rank */
export async function matricesOf(
  layer: LoraLayer,
  { a, b, bias, vector, initial }: LoraWeights,
  doubled = initial !== undefined,
): Promise<LoraMatrices> {
  const [rank = 0] = a.tensor.shape;
  const { inFeatures, outFeatures } = layer;
  const matrices = {
    a: await valuesOf(a),
    b: await valuesOf(b),
    rank,
    inFeatures,
    outFeatures,
    ...(layer.embedding ? { embedding: true } : {}),
    ...(bias === undefined ? {} : { bias: await valuesOf(bias) }),
    ...(vector === undefined ? {} : { vector: await valuesOf(vector) }),
  };
  if (!doubled) return matrices;
  return plainMatrices(
    matrices,
    initial === undefined ? undefined : { a: await valuesOf(initial.a), b: await valuesOf(initial.b) },
  );
}

async function valuesOf({ tensor: values }: Parameter): Promise<Float32Array> {
  return toFloat32(await readTensor(values), values.dtype);
}
