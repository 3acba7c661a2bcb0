import type { Module, Parameter, TrainedParameter } from '@lowrank/nn';
import type { Adaptable } from '@lowrank/patch';
import { matchTargets } from '@lowrank/patch';
import { safetensorsBytes } from '@lowrank/safetensors';
import type { Tensor } from '@lowrank/tensor';
import { readTensor, toFloat32 } from '@lowrank/tensor';
import { sourceOf } from '@lowrank/tensor/op';
import { mismatch } from './storedTensor.js';
import type { AppliedMethod, MergedModel, MethodAdapter, MethodModel, MethodTensor } from './method.js';

/** A layer put around another one. */
export interface Placed {
  readonly path: string;
  /** What was there. */
  readonly base: Module;
}

export interface AppliedParts {
  readonly model: MethodModel;
  readonly config: MethodAdapter['config'];
  /** By their names in the file. */
  readonly parameters: ReadonlyMap<string, Parameter>;
  /** To be undone. */
  readonly placed: readonly Placed[];
  /** Undone too. */
  readonly undo?: () => void;
  /** What stands before the head's paths in the file. */
  readonly within?: string;
}

/** Before the paths of a model's modules in PEFT's files: PeftModel, and the tuner around the model. */
const inTuner = 'base_model.model.';

/** The same for virtual tokens, which have no tuner: PeftModel is around the model itself. */
export const inPeftModel = 'base_model.';

/** Freezes everything but these parameters, each of which is a tensor of the file. */
export function appliedMethod({
  model,
  config,
  parameters: own,
  placed,
  undo,
  within,
}: AppliedParts): AppliedMethod<MethodAdapter> {
  const parameters = new Map([...own, ...headOf(model, within)]);
  freeze(model, parameters.values());
  const stored = new Map([...parameters].map(([name, parameter]) => [name, parameter.tensor.shape]));
  return {
    parameters: namedOf(parameters, within),
    fileBytes: (dtype) => fileBytesOf(stored, dtype),
    async extract() {
      const tensors = new Map<string, MethodTensor>();
      for (const [name, parameter] of parameters) tensors.set(name, await hostTensor(parameter.tensor));
      return { config, tensors };
    },
    remove: () => takeOut({ model, parameters: own, placed, undo }),
  };
}

/** The parameters of the head of the model's task, which is trained where it is, by their names in PEFT's files. */
export function headOf(model: MethodModel, within = inTuner): Map<string, Parameter> {
  const modules = [...model.namedModules()].filter(([path]) => isInHead(model, path));
  return new Map(modules.flatMap(([path, module]) => [...module.namedParameters(`${within}${path}`)]));
}

/** The layers that targets name. The head of a task is trained whole, and takes nothing beside, as in PEFT. */
export function methodTargets(model: MethodModel, targetModules: readonly string[] | string): Map<string, Adaptable> {
  return matchTargets(model, { targetModules, modulesToSave: model.headModules });
}

/** Whether a module is one of the head's, as PEFT compares names. */
export function isInHead({ headModules = [] }: MethodModel, path: string): boolean {
  const parts = path.split('.');
  return parts.some((_, at) =>
    headModules.some((name) =>
      parts
        .slice(0, at + 1)
        .join('.')
        .endsWith(name),
    ),
  );
}

/** A merged model with the head that an adapter holds. */
export function withHead(merged: MergedModel, { tensors }: MethodAdapter, model: MethodModel): MergedModel {
  const saved = [...headOf(model).keys()].flatMap((name) => {
    const tensor = tensors.get(name);
    return tensor === undefined ? [] : [{ ...tensor, name: name.slice(inTuner.length) }];
  });
  const rest = merged.tensors.filter(({ name }) => !saved.some((tensor) => tensor.name === name));
  return {
    ...merged,
    tensors: [
      ...rest,
      ...saved.map(({ name, shape, data }) => ({
        name,
        dtype: 'F32',
        shape,
        read: () => Promise.resolve(new Uint8Array(data.slice().buffer)),
      })),
    ],
  };
}

/** Puts a saved head in the place of the model's. @throws LowrankError `methods.mismatch` for another shape */
export function restoreHead(model: MethodModel, { tensors }: MethodAdapter, within = inTuner): void {
  for (const [name, { tensor }] of headOf(model, within)) {
    // Lowrank's files of virtual tokens had the tuner's names once.
    const saved = tensors.get(name) ?? tensors.get(name.replace(within, inTuner));
    if (saved === undefined || saved.shape.join() !== tensor.shape.join())
      throw mismatch(
        name,
        `[${tensor.shape.join(', ')}], of the head`,
        saved === undefined ? 'nothing' : `[${saved.shape.join(', ')}]`,
      );
    sourceOf(tensor).write(saved.data);
  }
}

/** What a method itself has saved: an adapter without the head of its model. */
export function withoutHead(model: MethodModel, adapter: MethodAdapter): MethodAdapter {
  const head = headOf(model);
  if (head.size === 0) return adapter;
  return { ...adapter, tensors: new Map([...adapter.tensors].filter(([name]) => !head.has(name))) };
}

/** The bytes of a file of these tensors. */
export function fileBytesOf(stored: ReadonlyMap<string, readonly number[]>, dtype: 'F32' | 'BF16' = 'F32'): number {
  return safetensorsBytes(
    [...stored].sort(byName).map(([name, shape]) => ({ name, dtype, shape })),
    { format: 'pt' },
  );
}

export function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}

export function namedOf(parameters: ReadonlyMap<string, Parameter>, within = inTuner): TrainedParameter[] {
  return [...parameters].map(([name, parameter]) => ({
    name: name.startsWith(within) ? name.slice(within.length) : name,
    parameter,
  }));
}

/** Freezes everything in the model but these. */
export function freeze(model: MethodModel, trained: Iterable<Parameter>): void {
  for (const [, parameter] of model.namedParameters()) parameter.trainable = false;
  for (const parameter of trained) parameter.trainable = true;
}

export function takeOut({ model, parameters, placed, undo }: Omit<AppliedParts, 'config'>): void {
  for (const { path, base } of placed) model.setModule(path, base);
  for (const parameter of parameters.values()) parameter.tensor.dispose();
  undo?.();
}

export async function hostTensor(value: Tensor): Promise<MethodTensor> {
  return { shape: value.shape, data: toFloat32(await readTensor(value), value.dtype) };
}
