import { LowrankError } from '@lowrank/errors';
import type { Module, Parameter, TrainedParameter } from '@lowrank/nn';
import { streamOf } from '@lowrank/patch';
import type { Tensor } from '@lowrank/tensor';
import { readTensor, Rng, tensor, toFloat32 } from '@lowrank/tensor';
import { deferred } from '@lowrank/tensor/op';
import type { MethodAdapter, MethodModel, MethodTensor, Tuning } from './method.js';

/** A layer put around another one. */
export interface Placed {
  readonly path: string;
  /** What was there. */
  readonly base: Module;
}

export interface TuningParts {
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
export function tuningOf({ model, config, parameters, placed, undo }: TuningParts): Tuning {
  freeze(model, parameters.values());
  return {
    parameters: namedOf(parameters),
    config,
    stored: new Map([...parameters].map(([name, parameter]) => [name, parameter.tensor.shape])),
    async extract() {
      const tensors = new Map<string, MethodTensor>();
      for (const [name, parameter] of parameters) tensors.set(name, await hostTensor(parameter.tensor));
      return { config, tensors };
    },
    remove: () => takeOut({ model, parameters, placed, undo }),
  };
}

export function namedOf(parameters: ReadonlyMap<string, Parameter>): TrainedParameter[] {
  return [...parameters].map(([name, parameter]) => ({ name: name.replace(/^base_model\.model\./, ''), parameter }));
}

/** Freezes the model but for these. */
export function freeze(model: MethodModel, trained: Iterable<Parameter>): void {
  for (const [, parameter] of model.namedParameters()) parameter.trainable = false;
  for (const parameter of trained) parameter.trainable = true;
}

export function takeOut({ model, parameters, placed, undo }: Omit<TuningParts, 'config'>): void {
  for (const { path, base } of placed) model.setModule(path, base);
  for (const parameter of parameters.values()) parameter.tensor.dispose();
  undo?.();
}

export async function hostTensor(value: Tensor): Promise<MethodTensor> {
  return { shape: value.shape, data: toFloat32(await readTensor(value), value.dtype) };
}

/**
 * A tensor that a file holds, checked against the shape that the model wants. @throws LowrankError `methods.mismatch`
 */
export function storedTensor({ tensors }: MethodAdapter, name: string, shape: readonly number[]): Tensor {
  const found = tensors.get(name);
  if (found === undefined || found.shape.join() !== shape.join())
    throw mismatch(name, `[${shape.join(', ')}]`, found === undefined ? 'nothing' : `[${found.shape.join(', ')}]`);
  return tensor(found.data, shape, { name });
}

export function mismatch(what: string, expected: string, got: string): LowrankError {
  return new LowrankError({
    code: 'methods.mismatch',
    what: `${what} in adapter_model.safetensors`,
    expected,
    got,
    remedy: 'Use the base model that it was trained on, and its own adapter_config.json.',
  });
}

/**
 * Normal numbers, drawn when they are needed: by seed and name, so that each tensor draws the same whatever the others
 * are.
 */
export function normalTensor(
  shape: readonly number[],
  name: string,
  { seed = 0, deviation = 1 }: { seed?: number | undefined; deviation?: number },
): Tensor {
  const draw = (): Float32Array => {
    const rng = new Rng(seed, streamOf(name));
    return Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => deviation * rng.normal());
  };
  return deferred(draw, shape, { name });
}

/**
 * What is around a layer already may know it alone, and would not see what is put between. @throws LowrankError
 * `methods.taken` where the model has a method or an adapter
 */
export function refuseTaken(model: MethodModel, title: string): void {
  const found = [...model.namedModules()]
    .find(([path]) => path.endsWith('.base_layer'))?.[0]
    .replace(/\.base_layer$/, '');
  if (found !== undefined)
    throw new LowrankError({
      code: 'methods.taken',
      what: title,
      expected: 'a model without adapters and other methods',
      got: `a ${model.getModule(found).constructor.name} at ${found}`,
      remedy: 'Take it out first: tuning.remove(), or removeAdapter(model).',
    });
}

/** Loss and output projection are one, so that nothing is put around it. @throws LowrankError `methods.output` */
export function refuseOutput({ outputPath }: MethodModel, layers: ReadonlyMap<string, unknown>, title: string): void {
  if (layers.has(outputPath))
    throw new LowrankError({
      code: 'methods.output',
      what: `${title} at ${outputPath}`,
      expected: 'layers below the output projection',
      got: 'the output projection itself',
      remedy: 'Leave it out of the target modules.',
    });
}
