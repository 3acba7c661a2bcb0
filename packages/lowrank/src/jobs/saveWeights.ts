import type { SafetensorsDtype, TensorEntry } from '@lowrank/safetensors';
import { isSafetensorsDtype, writeFileAtomic, writeSafetensors } from '@lowrank/safetensors';
import { openFolder, openModelWeights } from '@lowrank/models';
import { fromNumbers, readTensor, toFloat32 } from '@lowrank/tensor';
import type { Tensor } from '@lowrank/tensor';
import { join } from 'node:path';
import { copyCompanions } from './folders.js';
import type { OpenModel } from './openModel.js';

/**
 * Writes a model as a Hugging Face folder: weights under the names, in the order and in the dtypes of the folder it
 * came from; configuration and tokenizer as they were. A copy of a tied output projection is left out, since training
 * has left it behind; parts that the model does not use, such as an image tower, go along as they are.
 */
export async function saveWeights({ folder: origin, module }: OpenModel, folder: string): Promise<void> {
  const parameters = new Map(module.namedParameters());
  const { file, pathOf } = await openModelWeights(await openFolder(origin));
  const entries: TensorEntry[] = [];
  for (const { name, dtype, shape } of file.tensors.values()) {
    const path = pathOf(name);
    const parameter = path === undefined ? undefined : parameters.get(path);
    if (parameter !== undefined)
      entries.push({ name, dtype, shape, data: async () => bytesOf(parameter.tensor, dtype) });
    else if (path === undefined && isSafetensorsDtype(dtype))
      entries.push({ name, dtype, shape, data: () => file.read(name) });
  }
  await writeFileAtomic(join(folder, 'model.safetensors'), writeSafetensors(entries, { format: 'pt' }));
  await copyCompanions(origin, folder);
  await copyCompanions(origin, folder, ['config.json']);
}

async function bytesOf(value: Tensor, dtype: SafetensorsDtype): Promise<Uint8Array> {
  const values = toFloat32(await readTensor(value), value.dtype);
  const data = dtype === 'F16' || dtype === 'BF16' ? fromNumbers(values, dtype === 'F16' ? 'f16' : 'bf16') : values;
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
