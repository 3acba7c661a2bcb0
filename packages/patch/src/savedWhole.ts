import type { WholeTensor } from '@lowrank/lora';
import { TokenRows } from '@lowrank/lora';
import type { Module, Parameter } from '@lowrank/nn';
import { Embedding, Linear } from '@lowrank/nn';
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
    const path = name.endsWith(suffix) ? name.slice(0, -suffix.length) : undefined;
    const fits = name.endsWith('.bias') || (path !== undefined && (targets.has(path) || isTable(model, path)));
    const own = fits ? placeOf(model, name)?.own.shape : undefined;
    if (own === undefined || dtypeOfFile(dtype) === undefined)
      return [`${name}: saved whole, which this model has no place for`];
    return own.join() === shape.join()
      ? []
      : [`${name}: [${shape.join(', ')}], where the model has [${own.join(', ')}]`];
  });
}

/** An embedding, or a linear layer outside the numbered ones: what a new size of the vocabulary changes. */
function isTable(model: Module, path: string): boolean {
  const module = new Map(model.namedModules()).get(path);
  return (
    module instanceof Embedding ||
    module instanceof TokenRows ||
    (module instanceof Linear && path === model.outputPath)
  );
}

/**
 * Puts saved tensors in the place of the model's, as PEFT does: in the order of the model, so that of a tied pair the
 * output projection's counts. @returns the names of tables, which must be saved again
 */
export function restoreWhole(model: Module, saved: Saved = new Map()): string[] {
  const order = [...placesOf(model)].map(([path]) => path);
  const at = (name: string): number => order.indexOf(name.replace('.base_layer.', '.'));
  for (const [name, { dtype: stored, data }] of [...saved].sort(([a], [b]) => at(a) - at(b))) {
    const tensor = placeOf(model, name)?.own;
    const dtype = dtypeOfFile(stored);
    if (tensor === undefined || dtype === undefined) continue;
    const values = hostArray(dtype, new Uint8Array(data).buffer);
    sourceOf(tensor).write(tensor.dtype === dtype ? values : fromNumbers(toFloat32(values, dtype), tensor.dtype));
  }
  return [...saved.keys()].filter((name) => name.endsWith(suffix));
}
