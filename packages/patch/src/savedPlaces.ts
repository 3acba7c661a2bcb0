import { LowrankError } from '@lowrank/errors';
import type { LoraConfig, WholeTensor } from '@lowrank/lora';
import { headsOfTask, LoraLayer, TokenRows } from '@lowrank/lora';
import type { Module, Parameter } from '@lowrank/nn';
import { ModuleList, TiedLinear } from '@lowrank/nn';
import { placesOf } from './places.js';

/**
 * Modules trained whole (PEFT's ModulesToSaveWrapper): each of their parameters gets a copy in f32, which stands in its
 * place while its adapter is active.
 */
export type Saving = Pick<LoraConfig, 'modulesToSave' | 'ensureWeightTying' | 'taskType'>;

export interface SavedPlace {
  /** Without what adapters around a layer add to it. */
  readonly path: string;
  readonly parameter: Parameter;
  /** Where weights stay tied: the place whose copy this one shares. */
  readonly follows?: Parameter | undefined;
}

/** PEFT's names of an input embedding and an output projection, by which it knows what may be tied. */
const embeddingNames = new Set(['embed_tokens', 'lm_head']);

/**
 * The places within the modules whose paths end in one of the names, as PEFT compares them: without looking for a dot.
 * With `ensureWeightTying` an embedding and an output projection that is tied to it come together, whichever was named.
 *
 * @throws LowrankError `patch.savedModules` for what cannot be copied; `patch.noTargets` for a name that nothing ends
 * in, where `strict`
 */
export function placesToSave(
  model: Module,
  { modulesToSave = [], ensureWeightTying = false, taskType }: Saving,
  strict: boolean,
): SavedPlace[] {
  if (modulesToSave.length === 0) return [];
  const modules = [...model.namedModules()].filter(([path]) => !/(^|\.)base_layer(\.|$)/.test(path));
  const tied = modules.flatMap(([path, module]) => (module instanceof TiedLinear ? [{ path, module }] : []))[0];
  const together =
    ensureWeightTying &&
    tied !== undefined &&
    modulesToSave.some((name) => embeddingNames.has(name.slice(name.lastIndexOf('.') + 1)));
  const named = (path: string, name: string): boolean => path.endsWith(name);
  // PEFT names all heads that there are for a task; a model has one of them.
  const optional = headsOfTask(taskType);
  const unmatched = modulesToSave.filter(
    (name) => !optional.includes(name) && !modules.some(([path]) => named(path, name)),
  );
  if (strict && unmatched.length > 0)
    throw new LowrankError({
      code: 'patch.noTargets',
      what: `modules_to_save ${unmatched.join(', ')}`,
      expected: 'the end of some module’s path',
      got: 'no match',
      remedy: 'Name modules of this model, such as lm_head, embed_tokens or norm.',
    });
  const found = modules.filter(([path]) => modulesToSave.some((name) => named(path, name)));
  for (const [path, module] of found) checkCopied(path, module);
  const within = (path: string): boolean => found.some(([module]) => path.startsWith(`${module}.`));
  return [...placesOf(model)].flatMap(([path, parameter]): SavedPlace[] => {
    if (together && parameter === tied.module.source) return [{ path, parameter }];
    if (together && parameter === tied.module.weight) return [{ path, parameter, follows: tied.module.source }];
    return within(path) ? [{ path, parameter }] : [];
  });
}

function checkCopied(path: string, module: Module): void {
  const fail = (expected: string, got: string, remedy: string): never => {
    throw new LowrankError({ code: 'patch.savedModules', what: `modules_to_save at ${path}`, expected, got, remedy });
  };
  if (module instanceof ModuleList)
    fail('a module with weights of its own', 'a list of modules', 'Name one of its modules.');
  for (const [below, each] of [['', module] as const, ...module.namedModules()]) {
    if (each instanceof LoraLayer || each instanceof TokenRows)
      fail(
        'a module without adapters',
        `adapters at ${below === '' ? path : `${path}.${below}`}`,
        'Name it in modules_to_save or among the targets, not in both.',
      );
    if ('matrix' in each)
      fail(
        'weights in f32, f16 or bf16',
        `codes at ${below === '' ? path : `${path}.${below}`}`,
        'A layer in codes takes LoRA; to train it whole, leave it out of the quantization (quantizeEmbeddings: false).',
      );
  }
}

/** What of the tensors saved whole goes to copies, and what to the base itself. */
export function splitWhole(
  model: Module,
  config: Saving,
  whole: ReadonlyMap<string, WholeTensor> = new Map(),
): { copies: Map<string, WholeTensor>; rest: Map<string, WholeTensor> } {
  const places = new Set(placesToSave(model, config, false).map(({ path }) => path));
  const part = (ofCopies: boolean): Map<string, WholeTensor> =>
    new Map([...whole].filter(([name]) => places.has(name) === ofCopies));
  return { copies: part(true), rest: part(false) };
}

/**
 * The configuration as PEFT saves it: where weights stay tied, the embedding is named and the output projection is not.
 */
export function savedConfig(model: Module, config: LoraConfig): LoraConfig {
  const places = placesToSave(model, config, false);
  const led = places
    .find(({ parameter }) => places.some(({ follows }) => follows === parameter))
    ?.path.replace(/\.weight$/, '');
  const follower = places.find(({ follows }) => follows !== undefined)?.path.replace(/\.weight$/, '');
  if (led === undefined || follower === undefined) return config;
  const names = (config.modulesToSave ?? []).filter((name) => !follower.endsWith(name));
  return { ...config, modulesToSave: names.includes(led) ? names : [...names, led] };
}
