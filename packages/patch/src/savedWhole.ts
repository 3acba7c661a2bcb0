import type { WholeTensor } from '@lowrank/lora';
import type { Module, Parameter } from '@lowrank/nn';
import { fromNumbers, toFloat32 } from '@lowrank/tensor';
import { hostArray, sourceOf } from '@lowrank/tensor/op';
import { dtypeOfFile } from './fileDtypes.js';
import { placesOf } from './places.js';
import type { Adaptable } from './targets.js';

/**
 * PEFT saves an adapted embedding's or output projection's own table along, in case its vocabulary was resized:
 * `<path>.base_layer.weight`; and biases that were trained.
 */
type Saved = ReadonlyMap<string, WholeTensor> | undefined;

const suffix = '.base_layer.weight';

/**
 * Where a saved tensor goes: an adapted embedding's table, or a bias, which lies a level deeper where its layer is
 * adapted.
 */
export function placeOf(model: Module, name: string): Parameter | undefined {
  return new Map(placesOf(model)).get(name.replace('.base_layer.', '.'));
}

/** A stored tensor's numbers, in memory of their own. */
export function numbersOf({ dtype: stored, data }: WholeTensor): Float32Array | undefined {
  const dtype = dtypeOfFile(stored);
  return dtype === undefined ? undefined : toFloat32(hostArray(dtype, new Uint8Array(data).buffer), dtype);
}

/** What of the tensors saved whole has no place in the model. */
export function checkWhole(model: Module, targets: ReadonlyMap<string, Adaptable>, saved: Saved = new Map()): string[] {
  return [...saved].flatMap(([name, { shape, dtype }]) => {
    const layer = name.endsWith(suffix) ? targets.get(name.slice(0, -suffix.length)) : undefined;
    const fits = layer !== undefined || name.endsWith('.bias');
    const own = fits ? placeOf(model, name)?.own.shape : undefined;
    if (own === undefined || dtypeOfFile(dtype) === undefined)
      return [`${name}: saved whole, which this model has no place for`];
    return own.join() === shape.join()
      ? []
      : [`${name}: [${shape.join(', ')}], where the model has [${own.join(', ')}]`];
  });
}

/** Puts saved tensors in the place of the model's, as PEFT does. */
export function restoreWhole(model: Module, saved: Saved = new Map()): void {
  for (const [name, { dtype: stored, data }] of saved) {
    const tensor = placeOf(model, name)?.own;
    const dtype = dtypeOfFile(stored);
    if (tensor === undefined || dtype === undefined) continue;
    const values = hostArray(dtype, new Uint8Array(data).buffer);
    sourceOf(tensor).write(tensor.dtype === dtype ? values : fromNumbers(toFloat32(values, dtype), tensor.dtype));
  }
}
