import { LowrankError } from '@lowrank/errors';
import type { LoraConfig, TrainedRows } from '@lowrank/lora';
import { LoraLayer, TokenRows, tokenLists, tokenWeights } from '@lowrank/lora';
import type { Module, TrainedParameter } from '@lowrank/nn';
import { Embedding, Linear, Parameter, TiedLinear } from '@lowrank/nn';
import { persistent, readTensor, tensor, toFloat32 } from '@lowrank/tensor';
import { holdsNothing } from './places.js';
import { checkUncopied } from './savedModules.js';
import { tableRows } from './tableRows.js';

/** Trained token rows (PEFT's TrainableTokensWrapper) around embeddings and output projections. */
type Tokens = Pick<LoraConfig, 'trainableTokenIndices' | 'ensureWeightTying' | 'modulesToSave' | 'peftType'>;

/** Every embedding and output projection with trained rows, by the path of the layer it stands for. */
export function tokenLayers(model: Module): [path: string, layer: TokenRows][] {
  return [...model.namedModules()].flatMap(([path, module]): [string, TokenRows][] =>
    module instanceof TokenRows ? [[path, module]] : [],
  );
}

interface Wanted {
  readonly path: string;
  readonly module: Embedding | Linear | TokenRows;
  readonly ids: readonly number[];
}

interface Resolved {
  readonly wanted: readonly Wanted[];
  /** An output projection whose rows are those of the embedding that it is tied to. */
  readonly follower?: { readonly path: string; readonly module: Linear | TokenRows } | undefined;
}

/**
 * Which rows of which layers, by PEFT's rules: the input embedding's without a name, else those of the modules whose
 * paths end in a name; tied weights stay tied unless other tokens are named for each.
 */
function resolve(
  model: Module,
  { trainableTokenIndices, ensureWeightTying = false, modulesToSave = [] }: Tokens,
): Resolved {
  if (trainableTokenIndices === undefined) return { wanted: [] };
  const modules = [...model.namedModules()].filter(([path]) => !/(^|\.)base_layer(\.|$)/.test(path));
  const input = modules.find(([, module]) => baseOf(module) instanceof Embedding);
  const head = modules.find(([, module]) => baseOf(module) instanceof TiedLinear);
  const fail = (what: string, expected: string, got: string, remedy?: string): never => {
    throw new LowrankError({ code: 'patch.tokens', what, expected, got, remedy });
  };
  const wanted = tokenLists(trainableTokenIndices).flatMap(([name, ids]): Wanted[] => {
    const found =
      name === undefined ? (input === undefined ? [] : [input]) : modules.filter(([path]) => path.endsWith(name));
    if (found.length === 0)
      fail(`trainable_token_indices of ${name ?? 'the input embedding'}`, 'the end of some module’s path', 'no match');
    return found.map(([path, module]) => {
      if (modulesToSave.some((saved) => path.endsWith(saved)))
        fail(
          `trainable_token_indices at ${path}`,
          'a module that is not in modules_to_save',
          'one that is trained whole',
          'Train its rows or all of it, not both.',
        );
      if (module instanceof LoraLayer)
        fail(
          `trainable_token_indices at ${path}`,
          'a module without LoRA',
          'one among the targets',
          'Leave it out of the target modules.',
        );
      if (!(module instanceof Embedding || module instanceof Linear || module instanceof TokenRows))
        fail(`trainable_token_indices at ${path}`, 'an embedding or an output projection', module.constructor.name);
      return { path, module: module as Embedding | Linear | TokenRows, ids };
    });
  });
  if (head === undefined || input === undefined) return { wanted };
  const [ofInput, ofHead] = [wanted.find(({ path }) => path === input[0]), wanted.find(({ path }) => path === head[0])];
  if (ofInput === undefined) return { wanted };
  const differ = ofHead !== undefined && ofHead.ids.join() !== ofInput.ids.join();
  if (differ && ensureWeightTying)
    fail(
      'trainable_token_indices with ensure_weight_tying',
      `the same tokens for ${input[0]} and ${head[0]}`,
      'others',
      'Name the same, or set ensure_weight_tying off.',
    );
  if (differ) return { wanted };
  if (modulesToSave.some((saved) => head[0].endsWith(saved)))
    fail(
      `modules_to_save at ${head[0]}`,
      'an output projection that follows the trained rows of its embedding',
      'one that is trained whole',
      'Train its rows or all of it, not both.',
    );
  if (head[1] instanceof LoraLayer)
    fail(
      `LoRA at ${head[0]}`,
      'an output projection that follows the trained rows of its embedding',
      'one among the targets',
      'Leave it out of the target modules.',
    );
  return {
    wanted: wanted.filter((each) => each !== ofHead),
    follower: { path: head[0], module: head[1] as Linear | TokenRows },
  };
}

function baseOf(module: Module): Module {
  return module instanceof TokenRows || module instanceof LoraLayer ? module.base : module;
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
  const { wanted, follower } = resolve(model, config);
  checkUncopied(
    model,
    [...wanted, ...(follower === undefined ? [] : [follower])].map(({ path }) => path),
  );
  const made = [];
  for (const { path, module, ids } of wanted) {
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
    const rows = new Parameter(persistent([ids.length, width], { name: `${path}.trainable_tokens_delta` }));
    const weights = tokenWeights(ids, vocabulary, rows);
    if (given !== undefined || !holdsNothing(weight))
      rows.own = tensor(given?.rows ?? (await tableRows(weight, ids)), [ids.length, width], {
        name: `${path}.trainable_tokens_delta`,
      });
    made.push({ path, module, weights });
  }
  let leader: TokenRows | undefined;
  for (const { path, module, weights } of made) {
    const layer = module instanceof TokenRows ? module : new TokenRows(module);
    if (layer !== module) model.setModule(path, layer);
    layer.add(name, weights);
    if (layer.base instanceof Embedding) leader ??= layer;
  }
  if (follower === undefined || leader === undefined) return;
  if (follower.module instanceof TokenRows && follower.module.leader !== leader)
    throw new LowrankError({
      code: 'patch.tokens',
      what: `trainable_token_indices of ${follower.path}`,
      expected: 'an output projection that follows its embedding',
      got: 'one with rows of its own in another adapter',
      remedy: 'Remove the other adapter first.',
    });
  if (!(follower.module instanceof TokenRows)) model.setModule(follower.path, new TokenRows(follower.module, leader));
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

/** Takes an adapter's rows away and frees them; a layer without any is put back as it was. */
export function removeRows(model: Module, name: string): void {
  const layers = tokenLayers(model);
  for (const [, layer] of layers) layer.remove(name);
  for (const [path, layer] of layers) if (layer.adapters.size === 0) model.setModule(path, layer.base);
}
