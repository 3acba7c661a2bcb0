import type { LoraAdapter, WholeTensor } from '@lowrank/lora';
import type { ModelFiles } from '@lowrank/models';
import { openModelWeights } from '@lowrank/models';
import type { StoredDtype } from '@lowrank/lora';
import { toFloat32 } from '@lowrank/tensor';

/**
 * An adapter without the tables that its base has too, number for number: PEFT saves an embedding's and an output
 * projection's along, in case the vocabulary was resized.
 */
export async function withoutBaseTables(adapter: LoraAdapter, base: ModelFiles): Promise<LoraAdapter> {
  if (adapter.whole === undefined || adapter.whole.size === 0 || adapter.config.modulesToSave !== undefined)
    return adapter;
  const { file, pathOf } = await openModelWeights(base);
  const stored = new Map([...file.tensors.values()].map((info) => [pathOf(info.name), info]));
  const whole = new Map<string, WholeTensor>();
  for (const [name, tensor] of adapter.whole) {
    const path = name.replace(/\.base_layer\.(\w+)$/, '.$1');
    // A tied output projection has no table of its own.
    const own = stored.get(path) ?? (path === 'lm_head.weight' ? stored.get('model.embed_tokens.weight') : undefined);
    const isSame =
      own?.shape.join() === tensor.shape.join() &&
      isEqual(numbersOf(tensor.dtype, tensor.data), numbersOf(own.dtype, await file.read(own.name)));
    if (!isSame) whole.set(name, tensor);
  }
  return { ...adapter, whole };
}

function numbersOf(dtype: string, data: Uint8Array): Float32Array | undefined {
  const { buffer } = new Uint8Array(data);
  if (dtype === ('F32' satisfies StoredDtype)) return new Float32Array(buffer);
  if (dtype === 'F16' || dtype === 'BF16') return toFloat32(new Uint16Array(buffer), dtype === 'F16' ? 'f16' : 'bf16');
  return undefined;
}

function isEqual(one: Float32Array | undefined, other: Float32Array | undefined): boolean {
  return one !== undefined && other?.length === one.length && one.every((value, at) => value === other[at]);
}
