import { LowrankError } from '@lowrank/errors';
import { mergeWeight } from '@lowrank/lora';
import type { MergeDtype } from '@lowrank/lora';
import type { Module, Parameter } from '@lowrank/nn';
import { Conv1d, Embedding, Linear } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { hostArray, readTensor, tensor, toFloat32 } from '@lowrank/tensor';
import { adaptedLayers, removeAdapters } from './adapters.js';

const fileDtype: Readonly<Record<string, MergeDtype>> = { f32: 'F32', f16: 'F16', bf16: 'BF16' };

/**
 * Folds the active adapters into the weights of a model in memory and takes all adapters out (PEFT's merge_and_unload): each W becomes W + s·B·A in its own dtype, adapter by
 * adapter. What was compiled before holds the old weights' memory: compile anew. To write a merged folder use `mergedTensors`, which needs no model.
 *
 * @returns the paths of the layers that changed
 * @throws LowrankError `lora.mergeNotFinite`, `patch.mergeEncoding`: nothing is changed then
 */
export async function mergeIntoModel(model: Module): Promise<string[]> {
  const merged: { path: string; weight: Parameter; value: Tensor }[] = [];
  for (const [path, { base, active, adapters }] of adaptedLayers(model)) {
    const updates = active.flatMap((name) => adapters.get(name) ?? []);
    if (updates.length === 0) continue;
    const weight = base instanceof Linear || base instanceof Conv1d || base instanceof Embedding ? base.weight : undefined;
    const dtype = weight === undefined ? undefined : fileDtype[weight.tensor.dtype];
    if (weight === undefined || dtype === undefined) throw new LowrankError({ code: 'patch.mergeEncoding', what: path, expected: 'a linear layer or an embedding with a weight in f32, f16 or bf16', got: weight?.tensor.dtype ?? 'another kind of layer' });
    const { shape, dtype: stored } = weight.tensor;
    let bytes = asBytes(await readTensor(weight.tensor));
    for (const { a, b, scale } of updates) {
      const [left, right] = await Promise.all([a, b].map(async ({ tensor: values }) => toFloat32(await readTensor(values), values.dtype)));
      if (left === undefined || right === undefined) continue;
      bytes = mergeWeight(bytes, dtype, { a: left, b: right, rank: a.tensor.shape[0] ?? 1, scaling: scale.value, transposed: !(base instanceof Linear), narrowDelta: base instanceof Embedding });
    }
    const buffer = new Uint8Array(bytes).buffer;
    merged.push({ path, weight, value: tensor(hostArray(stored, buffer), shape, { dtype: stored, name: `${path}.weight` }) });
  }
  for (const { weight, value } of merged) {
    weight.tensor.dispose();
    weight.tensor = value;
  }
  removeAdapters(model);
  return merged.map(({ path }) => path);
}

function asBytes({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
