import { LowrankError } from '@lowrank/errors';
import { mergeWeight } from '@lowrank/lora';
import type { LoraLayer } from '@lowrank/lora';
import type { Module, Parameter } from '@lowrank/nn';
import { Conv1d, Embedding, Linear } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { readTensor, tensor, toFloat32 } from '@lowrank/tensor';
import { hostArray } from '@lowrank/tensor/op';
import { adaptedLayers, matricesOf, removeAdapters } from './adapters.js';
import { asBytes, fileDtypeOf } from './fileDtypes.js';
import { requireStored, requireUnmerged } from './merged.js';
import { mergedWhole, preparePut } from './mergeCopies.js';

/**
 * Folds the active adapters into the weights of a model in memory and takes all adapters out (PEFT's merge_and_unload):
 * each W becomes W + s·B·A in its own dtype, adapter by adapter; copies of modules and token rows take their places. An
 * output projection that is tied to its embedding gets a weight of its own where only one of the two changes. What was
 * compiled before holds the old weights' memory: compile anew. To write a merged folder use `mergedTensors`, which
 * needs no model.
 *
 * @returns the paths of the layers that changed
 * @throws LowrankError `lora.mergeNotFinite`, `patch.mergeEncoding`, `patch.mergeDerived`, `patch.mergeBias`: nothing
 * is changed then
 */
export async function mergeIntoModel(model: Module): Promise<string[]> {
  requireUnmerged(model, 'merging adapters for good');
  const whole = await mergedWhole(model);
  const merged: { path: string; weight: Parameter; value: Tensor }[] = [];
  const biases: ShiftedBias[] = [];
  for (const [path, layer] of adaptedLayers(model)) {
    const { base, active, adapters } = layer;
    const updates = active.flatMap((name) => adapters.get(name) ?? []);
    if (updates.length === 0) continue;
    const weight =
      base instanceof Linear || base instanceof Conv1d || base instanceof Embedding ? base.weight : undefined;
    const dtype = weight === undefined ? undefined : fileDtypeOf(weight.tensor.dtype);
    if (weight === undefined || dtype === undefined)
      throw new LowrankError({
        code: 'patch.mergeEncoding',
        what: path,
        expected: 'a linear layer or an embedding with a weight in f32, f16 or bf16',
        got: weight?.tensor.dtype ?? 'another kind of layer',
      });
    requireStored(path, weight);
    const { shape, dtype: stored } = weight.tensor;
    let bytes = asBytes(await readTensor(weight.own));
    for (const weights of updates) {
      const { bias, ...matrices } = await matricesOf(layer, weights);
      bytes = mergeWeight(bytes, dtype, {
        ...matrices,
        scaling: weights.scale.value,
        variant: weights.variant,
        transposed: !(base instanceof Linear),
        narrowDelta: base instanceof Embedding,
      });
      if (bias !== undefined)
        biases.push(
          await shiftedBias(path, layer, {
            bias,
            scaling: weights.scale.value,
            before: biases.findLast((shifted) => shifted.path === path)?.values,
          }),
        );
    }
    const buffer = new Uint8Array(bytes).buffer;
    merged.push({
      path,
      weight,
      value: tensor(hostArray(stored, buffer), shape, { dtype: stored, name: `${path}.weight` }),
    });
  }
  const put = preparePut(model, merged, whole);
  for (const { parameter, values } of biases) {
    parameter.tensor.dispose();
    parameter.tensor = tensor(values, [values.length], { name: 'bias' });
  }
  removeAdapters(model);
  put();
  return [...merged.map(({ path }) => path), ...new Set(whole.map(({ module }) => module))];
}

interface ShiftedBias {
  readonly path: string;
  readonly parameter: Parameter;
  readonly values: Float32Array;
}

/** The base's bias with that of B, times the factor on BA. */
async function shiftedBias(
  path: string,
  { base }: LoraLayer,
  { bias, scaling, before }: { bias: Float32Array; scaling: number; before: Float32Array | undefined },
): Promise<ShiftedBias> {
  const parameter = base instanceof Linear || base instanceof Conv1d ? base.bias : undefined;
  if (parameter === undefined)
    throw new LowrankError({
      code: 'patch.mergeBias',
      what: `merging lora_bias at ${path}`,
      expected: 'a layer with a bias',
      got: 'one without',
      remedy: 'Keep the adapter beside the model, or train it without lora_bias.',
    });
  const own = before ?? toFloat32(await readTensor(parameter.tensor), parameter.tensor.dtype);
  return { path, parameter, values: own.map((value, at) => value + Math.fround((bias[at] ?? NaN) * scaling)) };
}
