import type { Backend, HostArray, HostTensor, Tensor } from '@lowrank/tensor';
import type { Node, Source, Traceable } from '@lowrank/tensor/op';
import { compile, toFloat32 } from '@lowrank/tensor';
import { runUnplanned } from '@lowrank/tensor/backend';
import { describe, hostArray } from '@lowrank/tensor/op';
import type { DType } from '@lowrank/tensor';
import { inputSpecs } from './batch.js';

export interface NonFiniteRequest {
  readonly backend: Backend;
  readonly inputs: Readonly<Record<string, HostTensor>>;
  readonly fn: Traceable<Record<string, Tensor>>;
  /** What to call views of flat vectors: the parameters' names. */
  readonly names: ReadonlyMap<Node, string>;
}

/**
 * Runs a function op by op and finds where the first value that is NaN or infinite comes from; undefined if all are
 * finite.
 */
export async function firstNonFinite({ backend, inputs, fn, names }: NonFiniteRequest): Promise<string | undefined> {
  const compiled = compile(backend, fn);
  const trace = compiled.trace(inputSpecs(inputs));
  await compiled.dispose();
  let origin: string | undefined;
  const sources = new Map<Source, boolean>();
  const isBad = async (source: Source): Promise<boolean> => {
    const known = sources.get(source);
    if (known !== undefined) return known;
    const bad = !allFinite(hostArray(source.spec.dtype, await source.read()), source.spec.dtype);
    sources.set(source, bad);
    return bad;
  };
  await runUnplanned(backend, trace, inputs, {
    onValue: async (node, output, read) => {
      const dtype = node.outputs[output]?.dtype ?? 'f32';
      if (allFinite(await read(), dtype)) return true;
      origin = names.get(node);
      for (const input of node.inputs)
        if (input.node.kind === 'source' && origin === undefined && (await isBad(input.node)))
          origin = `the tensor ${input.node.name} itself`;
      origin ??= describe({ node } as Tensor);
      return false;
    },
  });
  return origin;
}

function allFinite(values: HostArray, dtype: DType): boolean {
  if (dtype !== 'f32' && dtype !== 'f16' && dtype !== 'bf16') return true;
  return toFloat32(values, dtype).every(Number.isFinite);
}
