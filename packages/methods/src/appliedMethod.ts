import type { Module, Parameter, TrainedParameter } from '@lowrank/nn';
import { safetensorsBytes } from '@lowrank/safetensors';
import type { Tensor } from '@lowrank/tensor';
import { readTensor, toFloat32 } from '@lowrank/tensor';
import type { AppliedMethod, MethodAdapter, MethodModel, MethodTensor } from './method.js';

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
}

/** Freezes everything but these parameters, each of which is a tensor of the file. */
export function appliedMethod({ model, config, parameters, placed, undo }: AppliedParts): AppliedMethod<MethodAdapter> {
  freeze(model, parameters.values());
  const stored = new Map([...parameters].map(([name, parameter]) => [name, parameter.tensor.shape]));
  return {
    parameters: namedOf(parameters),
    fileBytes: (dtype) => fileBytesOf(stored, dtype),
    async extract() {
      const tensors = new Map<string, MethodTensor>();
      for (const [name, parameter] of parameters) tensors.set(name, await hostTensor(parameter.tensor));
      return { config, tensors };
    },
    remove: () => takeOut({ model, parameters, placed, undo }),
  };
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

export function namedOf(parameters: ReadonlyMap<string, Parameter>): TrainedParameter[] {
  return [...parameters].map(([name, parameter]) => ({ name: name.replace(/^base_model\.model\./, ''), parameter }));
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
