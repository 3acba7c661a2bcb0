import { LowrankError } from '@lowrank/errors';
import type { LoraConfig, WholeTensor } from '@lowrank/lora';
import { LoraLayer, TokenRows } from '@lowrank/lora';
import type { Module, TrainedParameter } from '@lowrank/nn';
import { ModuleList, Parameter, TiedLinear } from '@lowrank/nn';
import { persistent, readTensor, tensor, toFloat32 } from '@lowrank/tensor';
import { holdsNothing, placesOf } from './places.js';
import { numbersOf } from './savedWhole.js';

/**
 * Modules trained whole (PEFT's ModulesToSaveWrapper): each of their parameters gets a copy in f32, which stands in its
 * place while its adapter is active.
 */
type Saving = Pick<LoraConfig, 'modulesToSave' | 'ensureWeightTying'>;

interface Place {
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
function placesToSave(
  model: Module,
  { modulesToSave = [], ensureWeightTying = false }: Saving,
  strict: boolean,
): Place[] {
  if (modulesToSave.length === 0) return [];
  const modules = [...model.namedModules()].filter(([path]) => !/(^|\.)base_layer(\.|$)/.test(path));
  const tied = modules.flatMap(([path, module]) => (module instanceof TiedLinear ? [{ path, module }] : []))[0];
  const together =
    ensureWeightTying &&
    tied !== undefined &&
    modulesToSave.some((name) => embeddingNames.has(name.slice(name.lastIndexOf('.') + 1)));
  const named = (path: string, name: string): boolean => path.endsWith(name);
  const unmatched = modulesToSave.filter((name) => !modules.some(([path]) => named(path, name)));
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
  return [...placesOf(model)].flatMap(([path, parameter]): Place[] => {
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
        'A quantized layer takes LoRA; to train it whole, leave it out of the quantization.',
      );
  }
}

/**
 * A module is trained whole or adapted, by whichever adapters: what one puts beside a weight would be lost on another's
 * copy of it. @throws LowrankError `patch.savedModules`
 */
export function checkUncopied(model: Module, paths: Iterable<string>): void {
  const copied = new Map(
    [...placesOf(model)].flatMap(([path, { copies }]) =>
      [...copies.keys()].map((name) => [path.slice(0, path.lastIndexOf('.')), name] as const),
    ),
  );
  for (const path of paths) {
    const name = copied.get(path);
    if (name !== undefined)
      throw new LowrankError({
        code: 'patch.savedModules',
        what: `an adapter at ${path}`,
        expected: 'a module that no other adapter has saved whole',
        got: `a copy of it in the adapter ${name}`,
        remedy: `Leave it out, or remove the adapter ${name} first.`,
      });
  }
}

/**
 * Gives an adapter its copies: of the base as it is, or of what was saved. @throws LowrankError also
 * `patch.adapterMismatch`
 */
export async function addCopies(
  model: Module,
  config: Saving,
  name: string,
  saved?: ReadonlyMap<string, WholeTensor>,
): Promise<void> {
  const places = placesToSave(model, config, saved === undefined);
  const values = new Map<Parameter, Parameter>();
  for (const { path, parameter, follows } of places) {
    if (follows === undefined)
      values.set(
        parameter,
        new Parameter(saved === undefined ? await copyOf(parameter, path) : loadedCopy(path, parameter, saved)),
      );
  }
  for (const { parameter, follows } of places) {
    const copy = values.get(follows ?? parameter);
    if (copy !== undefined) parameter.copies.set(name, copy);
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

async function copyOf({ own }: Parameter, path: string): Promise<Parameter['own']> {
  const values = holdsNothing(own) ? undefined : toFloat32(await readTensor(own), own.dtype);
  return values === undefined
    ? persistent(own.shape, { name: `${path}.copy` })
    : tensor(values, own.shape, { name: `${path}.copy` });
}

function loadedCopy(path: string, { own }: Parameter, saved: ReadonlyMap<string, WholeTensor>): Parameter['own'] {
  const stored = saved.get(path);
  const values = stored === undefined ? undefined : numbersOf(stored);
  if (stored === undefined || values === undefined || stored.shape.join() !== own.shape.join()) {
    throw new LowrankError({
      code: 'patch.adapterMismatch',
      what: `${path}, saved whole`,
      expected: `F32, F16 or BF16 [${own.shape.join(', ')}], as the model has it`,
      got: stored === undefined ? 'none' : `${stored.dtype} [${stored.shape.join(', ')}]`,
      remedy: 'Use the base model that the adapter was trained on.',
    });
  }
  return tensor(values, own.shape, { name: `${path}.copy` });
}

/** An adapter's copies by the paths of their places; of places that share one, each. */
export function copiesOf(model: Module, name: string): [path: string, copy: Parameter][] {
  return [...placesOf(model)].flatMap(([path, { copies }]): [string, Parameter][] => {
    const copy = copies.get(name);
    return copy === undefined ? [] : [[path, copy]];
  });
}

/** An adapter's copies to be trained, each once, by the name of the place that comes first. */
export function trainedCopies(model: Module, name: string): TrainedParameter[] {
  const seen = new Set<Parameter>();
  return copiesOf(model, name).flatMap(([path, parameter]) =>
    seen.has(parameter) ? [] : [(seen.add(parameter), { name: path, parameter })],
  );
}

/**
 * Puts the copies of these adapters in their places. @throws LowrankError `patch.savedTwice` where two have one for the
 * same place
 */
export function activateCopies(model: Module, names: readonly string[]): void {
  const chosen = [...placesOf(model)].map(([path, parameter]) => {
    const having = names.filter((name) => parameter.copies.has(name));
    if (having.length > 1)
      throw new LowrankError({
        code: 'patch.savedTwice',
        what: `the adapters ${having.join(' and ')}`,
        expected: `one that has ${path} saved whole`,
        got: String(having.length),
        remedy: 'Use one of them at a time: modules saved whole do not add up.',
      });
    return { parameter, name: having[0] };
  });
  for (const { parameter, name } of chosen) parameter.active = name;
}

/** Takes an adapter's copies away and frees them. */
export function removeCopies(model: Module, name: string): void {
  for (const [, parameter] of placesOf(model)) {
    parameter.copies.get(name)?.own.dispose();
    parameter.copies.delete(name);
    if (parameter.active === name) parameter.active = undefined;
  }
}

/** Calls `fn` with every place as the base has it. */
export function withoutCopies<T>(model: Module, fn: () => T): T {
  const before = [...placesOf(model)].map(([, parameter]) => [parameter, parameter.active] as const);
  for (const [parameter] of before) parameter.active = undefined;
  try {
    return fn();
  } finally {
    for (const [parameter, active] of before) parameter.active = active;
  }
}

/** The adapters that have copies. */
export function namesOfCopies(model: Module): string[] {
  return [...new Set([...placesOf(model)].flatMap(([, { copies }]) => [...copies.keys()]))];
}
