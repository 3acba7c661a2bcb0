import { LowrankError } from '@lowrank/errors';
import type { LoraConfig } from '@lowrank/lora';
import { LoraLayer, TokenRows, tokenLists } from '@lowrank/lora';
import type { Module } from '@lowrank/nn';
import { Embedding, isLinearLike, Linear, TiedLinear } from '@lowrank/nn';
import { tableInCodes } from './tableInCodes.js';

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

type NamedModule = readonly [path: string, module: Module];

/**
 * Which rows of which layers, by PEFT's rules: the input embedding's without a name, else those of the modules whose
 * paths end in a name; tied weights stay tied unless other tokens are named for each.
 *
 * @throws LowrankError `patch.tokens`
 */
export function tokenTargets(model: Module, config: Tokens): TokenTargets {
  const { trainableTokenIndices, ensureWeightTying = false } = config;
  if (trainableTokenIndices === undefined) return { wanted: [] };
  const modules = [...model.namedModules()].filter(([path]) => !/(^|\.)base_layer(\.|$)/.test(path));
  const codes = modules.find(([, module]) => 'matrix' in module && !isLinearLike(module));
  if (codes !== undefined) throw tableInCodes(codes[0], 'trained token rows');
  const input = modules.find(([, module]) => baseOf(module) instanceof Embedding);
  const head = modules.find(([, module]) => baseOf(module) instanceof TiedLinear);
  const wanted = tokenLists(trainableTokenIndices).flatMap(([name, ids]): WantedRows[] => {
    const found =
      name === undefined ? (input === undefined ? [] : [input]) : modules.filter(([path]) => path.endsWith(name));
    if (found.length === 0)
      throw failure(
        `trainable_token_indices of ${name ?? 'the input embedding'}`,
        'the end of some module’s path',
        'no match',
      );
    return found.map((named) => wantedRows(named, ids, config));
  });
  if (head === undefined || input === undefined) return { wanted };
  const [ofInput, ofHead] = [wanted.find(({ path }) => path === input[0]), wanted.find(({ path }) => path === head[0])];
  if (ofInput === undefined) return { wanted };
  const differ = ofHead !== undefined && ofHead.ids.join() !== ofInput.ids.join();
  if (differ && ensureWeightTying)
    throw failure(
      'trainable_token_indices with ensure_weight_tying',
      `the same tokens for ${input[0]} and ${head[0]}`,
      'others',
      'Name the same, or set ensure_weight_tying off.',
    );
  if (differ) return { wanted };
  checkFollower(head, config);
  return {
    wanted: wanted.filter((each) => each !== ofHead),
    follower: { path: head[0], module: head[1] as Linear | TokenRows },
  };
}

function wantedRows([path, module]: NamedModule, ids: readonly number[], { modulesToSave = [] }: Tokens): WantedRows {
  const what = `trainable_token_indices at ${path}`;
  if (modulesToSave.some((saved) => path.endsWith(saved)))
    throw failure(
      what,
      'a module that is not in modules_to_save',
      'one that is trained whole',
      'Train its rows or all of it, not both.',
    );
  if (module instanceof LoraLayer)
    throw failure(what, 'a module without LoRA', 'one among the targets', 'Leave it out of the target modules.');
  if (module instanceof Embedding || module instanceof Linear || module instanceof TokenRows)
    return { path, module, ids };
  throw failure(what, 'an embedding or an output projection', module.constructor.name);
}

/** An output projection that follows its embedding cannot be trained in another way at the same time. */
function checkFollower([path, module]: NamedModule, { modulesToSave = [] }: Tokens): void {
  const expected = 'an output projection that follows the trained rows of its embedding';
  if (modulesToSave.some((saved) => path.endsWith(saved)))
    throw failure(
      `modules_to_save at ${path}`,
      expected,
      'one that is trained whole',
      'Train its rows or all of it, not both.',
    );
  if (module instanceof LoraLayer)
    throw failure(`LoRA at ${path}`, expected, 'one among the targets', 'Leave it out of the target modules.');
}

function failure(what: string, expected: string, got: string, remedy?: string): LowrankError {
  return new LowrankError({ code: 'patch.tokens', what, expected, got, remedy });
}

function baseOf(module: Module): Module {
  return module instanceof TokenRows || module instanceof LoraLayer ? module.base : module;
}
