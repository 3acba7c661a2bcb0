import { LowrankError } from '@lowrank/errors';
import type { LoraConfig } from '@lowrank/lora';
import { LoraLayer, TokenRows, tokenLists } from '@lowrank/lora';
import type { Module } from '@lowrank/nn';
import { Embedding, Linear, TiedLinear } from '@lowrank/nn';

/** Trained token rows (PEFT's TrainableTokensWrapper) around embeddings and output projections. */
export type Tokens = Pick<LoraConfig, 'trainableTokenIndices' | 'ensureWeightTying' | 'modulesToSave' | 'peftType'>;

export interface WantedRows {
  readonly path: string;
  readonly module: Embedding | Linear | TokenRows;
  readonly ids: readonly number[];
}

export interface TokenTargets {
  readonly wanted: readonly WantedRows[];
  /** An output projection whose rows are those of the embedding that it is tied to. */
  readonly follower?: { readonly path: string; readonly module: Linear | TokenRows } | undefined;
}

/**
 * Which rows of which layers, by PEFT's rules: the input embedding's without a name, else those of the modules whose
 * paths end in a name; tied weights stay tied unless other tokens are named for each.
 */
export function tokenTargets(
  model: Module,
  { trainableTokenIndices, ensureWeightTying = false, modulesToSave = [] }: Tokens,
): TokenTargets {
  if (trainableTokenIndices === undefined) return { wanted: [] };
  const modules = [...model.namedModules()].filter(([path]) => !/(^|\.)base_layer(\.|$)/.test(path));
  const input = modules.find(([, module]) => baseOf(module) instanceof Embedding);
  const head = modules.find(([, module]) => baseOf(module) instanceof TiedLinear);
  const fail = (what: string, expected: string, got: string, remedy?: string): never => {
    throw new LowrankError({ code: 'patch.tokens', what, expected, got, remedy });
  };
  const wanted = tokenLists(trainableTokenIndices).flatMap(([name, ids]): WantedRows[] => {
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
