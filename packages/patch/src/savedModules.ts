import { LowrankError } from '@lowrank/errors';
import type { WholeTensor } from '@lowrank/lora';
import { holdsNothing } from '@lowrank/lora';
import type { Module, TrainedParameter } from '@lowrank/nn';
import { Parameter } from '@lowrank/nn';
import { persistent, readTensor, tensor, toFloat32 } from '@lowrank/tensor';
import { placesOf } from './places.js';
import type { Saving } from './savedPlaces.js';
import { placesToSave } from './savedPlaces.js';
import { numbersOf } from './savedWhole.js';

/**
 * A module is trained whole or adapted, whichever adapters do so: an adapter of a weight would have no effect on
 * another adapter's copy of it. @throws LowrankError `patch.savedModules`
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
        remedy: 'Use one of them at a time: modules saved whole cannot be combined.',
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

/** The adapters that have copies. */
export function namesOfCopies(model: Module): string[] {
  return [...new Set([...placesOf(model)].flatMap(([, { copies }]) => [...copies.keys()]))];
}
