import type { WholeTensor } from '@lowrank/lora';
import { LoraEmbedding } from '@lowrank/lora';
import { Embedding } from '@lowrank/nn';
import { fromNumbers, hostArray, sourceOf, toFloat32 } from '@lowrank/tensor';
import type { Adaptable } from './targets.js';

/** PEFT saves an adapted embedding's own table along, in case its vocabulary was resized: `<path>.base_layer.weight`. */
type Saved = ReadonlyMap<string, WholeTensor> | undefined;

const suffix = '.base_layer.weight';
const dtypes: Readonly<Record<string, 'f32' | 'f16' | 'bf16'>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' };

function tableAt(targets: ReadonlyMap<string, Adaptable>, name: string): Embedding | undefined {
  const layer = name.endsWith(suffix) ? targets.get(name.slice(0, -suffix.length)) : undefined;
  return layer instanceof LoraEmbedding ? layer.base : layer instanceof Embedding ? layer : undefined;
}

/** What of the tensors saved whole has no place in the model. */
export function checkSavedTables(targets: ReadonlyMap<string, Adaptable>, saved: Saved = new Map()): string[] {
  return [...saved].flatMap(([name, { shape, dtype }]) => {
    const table = tableAt(targets, name);
    if (table === undefined || dtypes[dtype] === undefined) return [`${name}: saved whole, which this model has no place for`];
    const own = table.weight.tensor.shape;
    return own.join() === shape.join() ? [] : [`${name}: [${shape.join(', ')}], where the model has [${own.join(', ')}]`];
  });
}

/** Puts saved tables in the place of the model's, as PEFT does. */
export function restoreTables(targets: ReadonlyMap<string, Adaptable>, saved: Saved = new Map()): void {
  for (const [name, { dtype: stored, data }] of saved) {
    const tensor = tableAt(targets, name)?.weight.tensor;
    const dtype = dtypes[stored];
    if (tensor === undefined || dtype === undefined) continue;
    const values = hostArray(dtype, new Uint8Array(data).buffer);
    sourceOf(tensor).write(tensor.dtype === dtype ? values : fromNumbers(toFloat32(values, dtype), tensor.dtype));
  }
}
