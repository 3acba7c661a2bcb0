import { LowrankError } from '@lowrank/errors';
import type { Backend, HostArray, HostTensor, Tensor } from '@lowrank/tensor';
import type { Node, Source, Traceable } from '@lowrank/tensor/op';
import { compile, toFloat32 } from '@lowrank/tensor';
import { runUnplanned } from '@lowrank/tensor/backend';
import { describe, hostArray } from '@lowrank/tensor/op';
import type { DType } from '@lowrank/tensor';
import { inputSpecs } from './batch.js';

/**
 * Loss or gradient of a step are NaN or infinite, and the weights are those from before that step; or its update has
 * made weights so.
 */
export class NonFiniteError extends LowrankError {
  readonly step: number;
  /** The first op, with its module path, or the tensor, that is not finite. */
  readonly origin: string | undefined;

  constructor({
    step,
    loss,
    gradNorm,
    origin,
    updated,
    inRow = 1,
  }: {
    step: number;
    loss: number;
    gradNorm: number;
    origin?: string | undefined;
    /** The parameter that the update of the step has made so. */
    updated?: string;
    /** Such steps one after another, this one included. */
    inRow?: number;
  }) {
    const cause = origin === undefined ? '' : `; the first value that is not finite is made by ${origin}`;
    const result = updated === undefined ? cause : `, and ${updated} is not finite after its update`;
    const kept = updated === undefined ? 'The weights were left as they were before this step. ' : 'Nothing is saved. ';
    const many = inRow > 1 ? `; the batches of the ${inRow - 1} steps before were skipped for the same reason` : '';
    super({
      code: 'trainer.nonFinite',
      what: `step ${step}`,
      expected: updated === undefined ? 'a finite loss and gradient' : 'finite weights',
      got: `loss ${loss}, gradient norm ${gradNorm}${result}${many}`,
      remedy: `${kept}Lower the learning rate, clip the gradient, or look at the rows of this step.`,
    });
    this.step = step;
    this.origin = origin ?? updated;
  }
}

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
