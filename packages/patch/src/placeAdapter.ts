import { LowrankError } from '@lowrank/errors';
import type { LoraConfig } from '@lowrank/lora';
import { LoraBankLayer, LoraEmbedding } from '@lowrank/lora';
import type { Module, TrainedParameter } from '@lowrank/nn';
import { Embedding } from '@lowrank/nn';
import { activateAdapter } from './activateAdapter.js';
import { adaptedLayers, hasAdapter } from './adaptedLayers.js';
import { recordsOf } from './adapterRecords.js';
import { requireUnmerged } from './mergeGuards.js';
import { checkOutput } from './outputTargets.js';
import { discardAdapter } from './removeAdapter.js';
import { checkUncopied } from './savedModules.js';
import type { Adaptable } from './targets.js';
import { tokenLayers } from './tokenRows.js';
import { trainOnly } from './trainedParameters.js';

/** What every way of placing an adapter takes. */
export interface AdapterOptions {
  /** Default: 'default', PEFT's name for an only adapter. */
  readonly name?: string;
  /** Of the new matrices; default 0. */
  readonly seed?: number;
  /** A saved state is about to give all values: nothing is decomposed or measured for them. */
  readonly restored?: boolean | undefined;
}

/** An adapter in its place around a model's layers. */
export interface PlacedAdapter {
  readonly name: string;
  /** The configuration to save it with: the one given, or the one that EVA derived from it. */
  readonly config: LoraConfig;
  /** Its matrices, vectors, copies and token rows, to be trained. Everything else is frozen. */
  readonly parameters: readonly TrainedParameter[];
}

/** Does all of `build`, makes the adapter the active one and freezes all else; or leaves the model as it was. */
export async function placeAdapter(
  model: Module,
  { name, config }: Pick<PlacedAdapter, 'name' | 'config'>,
  build: () => Promise<void>,
): Promise<PlacedAdapter> {
  try {
    await build();
    recordsOf(model).configs.set(name, config);
    activateAdapter(model, name);
    return { name, config, parameters: trainOnly(model, name, config) };
  } catch (error) {
    discardAdapter(model, name);
    throw error;
  }
}

/**
 * Checks, before anything changes, that the model has room for an adapter of this name around these targets.
 *
 * @throws LowrankError `patch.adapterExists`, `patch.bank`, `patch.merged`, `patch.output`, `patch.savedModules`
 */
export function checkRoom(
  model: Module,
  config: LoraConfig,
  { targets, name = 'default' }: AdapterOptions & { readonly targets: ReadonlyMap<string, Adaptable> },
): void {
  checkFree(model, name, config);
  checkBiases(targets, config);
  checkOutput(model, targets, config);
  checkUncopied(model, targets.keys());
}

function checkFree(model: Module, name: string, { bias }: LoraConfig): void {
  requireUnmerged(model, `another adapter, ${name}`);
  const banked = [...model.namedModules()].find(([, module]) => module instanceof LoraBankLayer);
  if (banked !== undefined)
    throw new LowrankError({
      code: 'patch.bank',
      what: `the adapter ${name} around ${banked[0]}`,
      expected: 'a model without a bank of adapters',
      got: 'a layer in a bank',
      remedy: 'Load it into the bank, or dispose of the bank first.',
    });
  const others = [...adaptedLayers(model).values(), ...tokenLayers(model).map(([, layer]) => layer)];
  // Biases are trained in place, so they can belong to one adapter alone.
  if (bias !== 'none' && others.length > 0)
    throw new LowrankError({
      code: 'patch.adapterExists',
      what: `an adapter with bias ${bias}`,
      expected: 'no other adapter',
      got: [...new Set(others.flatMap(({ adapters }) => [...adapters.keys()]))].join(', '),
      remedy: 'Train it with bias none, or remove the others.',
    });
  if (!hasAdapter(model, name)) return;
  throw new LowrankError({
    code: 'patch.adapterExists',
    what: `the adapter ${name}`,
    expected: 'a name that is not taken',
    got: 'an adapter of that name',
    remedy: 'Give it another name, or remove the other one first.',
  });
}

function checkBiases(targets: ReadonlyMap<string, Adaptable>, { loraBias = false }: LoraConfig): void {
  if (!loraBias) return;
  const embedding = [...targets].find(([, layer]) => layer instanceof Embedding || layer instanceof LoraEmbedding);
  if (embedding !== undefined)
    throw new LowrankError({
      code: 'patch.notLinear',
      what: `lora_bias at ${embedding[0]}`,
      expected: 'a linear layer',
      got: 'an embedding',
      remedy: 'Leave it out of the target modules, or lora_bias off.',
    });
}
