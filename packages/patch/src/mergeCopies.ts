import { LowrankError } from '@lowrank/errors';
import type { Module, Parameter } from '@lowrank/nn';
import { Linear, TiedLinear } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { fromNumbers, readTensor, tensor, toFloat32 } from '@lowrank/tensor';
import { bytesPerElement, hostArray } from '@lowrank/tensor/op';
import { asBytes } from './fileDtypes.js';
import { requireStored } from './merged.js';
import { placesOf } from './places.js';
import { tokenLayers } from './trainedRows.js';

export interface Merged {
  readonly path: string;
  readonly weight: Parameter;
  readonly value: Tensor;
}

/**
 * What active copies of modules and token rows make of the weights they stand for, each in its own dtype; nothing is
 * changed yet. @throws LowrankError `lora.mergeNotFinite`, `patch.mergeDerived`
 */
export async function mergedWhole(model: Module): Promise<(Merged & { readonly module: string })[]> {
  const merged: (Merged & { readonly module: string })[] = [];
  for (const [path, weight] of placesOf(model)) {
    const copy = weight.active === undefined ? undefined : weight.copies.get(weight.active);
    if (copy === undefined) continue;
    requireStored(path, weight);
    const { dtype, shape } = weight.own;
    merged.push({
      path,
      module: path.slice(0, path.lastIndexOf('.')),
      weight,
      value: tensor(narrowed(toFloat32(await readTensor(copy.tensor), copy.tensor.dtype), weight, path), shape, {
        dtype,
        name: path,
      }),
    });
  }
  for (const [path, { base, active, adapters, leader }] of tokenLayers(model)) {
    const { weight } = base;
    const { dtype, shape } = weight.own;
    for (const name of leader === undefined ? active : []) {
      const trained = adapters.get(name);
      if (trained === undefined) continue;
      requireStored(path, weight);
      const bytes = asBytes(await readTensor(weight.own)).slice();
      const rows = asBytes(
        narrowed(toFloat32(await readTensor(trained.rows.tensor), trained.rows.tensor.dtype), weight, path),
      );
      const size = (shape[1] ?? 0) * bytesPerElement(dtype);
      const ids = await readTensor(trained.ids);
      ids.forEach((id, at) => bytes.set(rows.subarray(at * size, (at + 1) * size), id * size));
      merged.push({
        path: `${path}.weight`,
        module: path,
        weight,
        value: tensor(hostArray(dtype, bytes.buffer), shape, { dtype, name: `${path}.weight` }),
      });
    }
  }
  return merged;
}

/**
 * Prepares to put merged weights in their places, while the adapters are still there; what is returned does it, once
 * they are gone, and frees what was there. Where an output projection is tied to an embedding and not both become the
 * same, they part: the output projection becomes a layer of its own.
 *
 * @param adapted by A and B
 * @param whole by copies and token rows
 */
export function preparePut(model: Module, adapted: readonly Merged[], whole: readonly Merged[]): () => void {
  const tied = [...model.namedModules()].flatMap(([path, module]) =>
    module instanceof TiedLinear ? [{ path: path.replaceAll('.base_layer', ''), module }] : [],
  )[0];
  const merged = [...adapted, ...whole];
  const ofHead = merged.filter(({ weight }) => weight === tied?.module.weight);
  const ofTable = merged.filter(({ weight }) => weight === tied?.module.source);
  const touched = ofHead.length + ofTable.length > 0;
  const stay =
    tied === undefined ||
    !touched ||
    (follows(model, tied.module) && ![...ofHead, ...ofTable].some((each) => adapted.includes(each)));
  return () => {
    const kept = stay || ofHead.length > 0 ? undefined : tied.module.source.own;
    if (!stay) model.setModule(tied.path, new Linear(ofHead.at(-1)?.value ?? tied.module.source.own));
    for (const { weight, value } of merged) {
      if (weight === tied?.module.weight) continue;
      if (weight.own !== kept) weight.own.dispose();
      weight.own = value;
    }
  };
}

/** Whether an output projection changes as its embedding does: it shares the embedding's copy, or its token rows. */
function follows(model: Module, { weight, source }: TiedLinear): boolean {
  const shared =
    source.active !== undefined &&
    weight.active === source.active &&
    weight.copies.get(source.active) === source.copies.get(source.active);
  return (
    shared ||
    tokenLayers(model).some(([, { base, leader }]) => base.weight === weight && leader?.base.weight === source)
  );
}

function narrowed(values: Float32Array, { own }: Parameter, path: string): ReturnType<typeof fromNumbers> {
  if (values.every(Number.isFinite)) return own.dtype === 'f32' ? values : fromNumbers(values, own.dtype);
  throw new LowrankError({
    code: 'lora.mergeNotFinite',
    what: path,
    expected: 'finite numbers',
    got: String(values.find((value) => !Number.isFinite(value))),
    remedy: 'The adapter is damaged.',
  });
}
