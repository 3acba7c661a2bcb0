import { LowrankError } from '@lowrank/errors';
import type { TokenWeights, TrainedRows } from '@lowrank/lora';
import { holdsNothing, TokenRows, tokenWeights } from '@lowrank/lora';
import type { Module, TrainedParameter } from '@lowrank/nn';
import { Embedding, Parameter } from '@lowrank/nn';
import { persistent, readTensor, tensor, toFloat32 } from '@lowrank/tensor';
import { checkUncopied } from './savedModules.js';
import { tableRows } from './tableRows.js';
import type { Tokens, TokenTargets, WantedRows } from './tokenTargets.js';
import { tokenTargets } from './tokenTargets.js';

/** Every embedding and output projection with trained rows, by the path of the layer it replaces. */
export function tokenLayers(model: Module): [path: string, layer: TokenRows][] {
  return [...model.namedModules()].flatMap(([path, module]): [string, TokenRows][] =>
    module instanceof TokenRows ? [[path, module]] : [],
  );
}

/**
 * Gives an adapter its rows: those of the base as they are, or what was saved. @throws LowrankError `patch.tokens`,
 * `patch.adapterMismatch`, `lora.tokens`
 */
export async function addRows(
  model: Module,
  config: Tokens,
  name: string,
  saved?: ReadonlyMap<string, TrainedRows>,
): Promise<void> {
  const { wanted, follower } = tokenTargets(model, config);
  checkUncopied(
    model,
    [...wanted, ...(follower === undefined ? [] : [follower])].map(({ path }) => path),
  );
  const made: MadeRows[] = [];
  for (const want of wanted) made.push({ ...want, weights: await rowsFor(want, saved) });
  let leader: TokenRows | undefined;
  for (const { path, module, weights } of made) {
    const layer = module instanceof TokenRows ? module : new TokenRows(module);
    if (layer !== module) model.setModule(path, layer);
    layer.add(name, weights);
    if (layer.base instanceof Embedding) leader ??= layer;
  }
  if (follower !== undefined && leader !== undefined) follow(model, follower, leader);
}

interface MadeRows extends WantedRows {
  readonly weights: TokenWeights;
}

/** New rows of one layer, or saved ones. */
async function rowsFor(
  { path, module, ids }: WantedRows,
  saved: ReadonlyMap<string, TrainedRows> | undefined,
): Promise<TokenWeights> {
  const weight = (module instanceof TokenRows ? module.base : module).weight.own;
  const [vocabulary = 0, width = 0] = weight.shape;
  if (module instanceof TokenRows && module.leader !== undefined)
    throw new LowrankError({
      code: 'patch.tokens',
      what: `trainable_token_indices at ${path}`,
      expected: 'an output projection of its own',
      got: 'one whose rows follow the embedding’s in another adapter',
      remedy: 'Remove the other adapter first.',
    });
  const given = saved?.get(path);
  if (saved !== undefined && (given?.width !== width || given.rows.length !== ids.length * width)) {
    throw new LowrankError({
      code: 'patch.adapterMismatch',
      what: `the token rows of ${path}`,
      expected: `[${ids.length}, ${width}], as the configuration and the model have it`,
      got: given === undefined ? 'none' : `[${given.rows.length / given.width}, ${given.width}]`,
      remedy: 'Use the base model that the adapter was trained on.',
    });
  }
  const [shape, options] = [[ids.length, width], { name: `${path}.trainable_tokens_delta` }];
  const rows = new Parameter(persistent(shape, options));
  const weights = tokenWeights(ids, vocabulary, rows);
  if (given !== undefined || !holdsNothing(weight))
    rows.own = tensor(given?.rows ?? (await tableRows(weight, ids)), shape, options);
  return weights;
}

/** An output projection that is tied to the embedding uses the embedding's rows. */
function follow(model: Module, { path, module }: NonNullable<TokenTargets['follower']>, leader: TokenRows): void {
  if (module instanceof TokenRows && module.leader !== leader)
    throw new LowrankError({
      code: 'patch.tokens',
      what: `trainable_token_indices of ${path}`,
      expected: 'an output projection that follows its embedding',
      got: 'one with rows of its own in another adapter',
      remedy: 'Remove the other adapter first.',
    });
  if (!(module instanceof TokenRows)) model.setModule(path, new TokenRows(module, leader));
}

/** An adapter's rows to be trained. */
export function trainedTokenRows(model: Module, name: string, { peftType }: Tokens): TrainedParameter[] {
  const suffix = peftType === 'TRAINABLE_TOKENS' ? 'trainable_tokens_delta' : 'token_adapter.trainable_tokens_delta';
  return tokenLayers(model).flatMap(([path, { adapters, leader }]) => {
    const weights = leader === undefined ? adapters.get(name) : undefined;
    return weights === undefined ? [] : [{ name: `${path}.${suffix}`, parameter: weights.rows }];
  });
}

/** An adapter's rows as they are now. PEFT's TRAINABLE_TOKENS also saves them for an output projection that follows. */
export async function extractRows(
  model: Module,
  name: string,
  { peftType }: Tokens,
): Promise<Map<string, TrainedRows>> {
  const found = new Map<string, TrainedRows>();
  for (const [path, { adapters, leader }] of tokenLayers(model)) {
    const rows = adapters.get(name)?.rows.tensor;
    if (rows !== undefined && (leader === undefined || peftType === 'TRAINABLE_TOKENS'))
      found.set(path, { rows: toFloat32(await readTensor(rows), rows.dtype), width: rows.shape[1] ?? 0 });
  }
  return found;
}

/** @throws LowrankError `patch.savedTwice` where two adapters have rows of one layer */
export function activateRows(model: Module, names: readonly string[]): void {
  const chosen = tokenLayers(model).map(([path, layer]) => {
    const having = names.filter((name) => layer.adapters.has(name));
    if (having.length > 1)
      throw new LowrankError({
        code: 'patch.savedTwice',
        what: `the adapters ${having.join(' and ')}`,
        expected: `one that has trained rows of ${path}`,
        got: String(having.length),
        remedy: 'Use one of them at a time.',
      });
    return { layer, having };
  });
  for (const { layer, having } of chosen) layer.active = having;
}

/** Removes an adapter's rows and frees them; a layer without any becomes what it was. */
export function removeRows(model: Module, name: string): void {
  const layers = tokenLayers(model);
  for (const [, layer] of layers) layer.remove(name);
  for (const [path, layer] of layers) if (layer.adapters.size === 0) model.setModule(path, layer.base);
}
