import { LowrankError } from '@lowrank/errors';
import { shown } from './arguments.js';
import type { Op } from './graph.js';
import { OpNode, Tensor } from './graph.js';

export type { AnyOp, Gradients, InPlacePair, Op, ReferenceContext, VjpContext } from './graph.js';
export type { Spec } from './spec.js';

/** Declares an op: its shape rule, gradient and reference in one object, with their types. */
/* @__NO_SIDE_EFFECTS__ */
export function defineOp<Name extends string, Attrs extends object>(op: Op<Name, Attrs>): Op<Name, Attrs> {
  return op;
}

/** Adds a node to the lazy graph and returns all its outputs. */
export function applyAll<Attrs extends object>(
  op: Op<string, Attrs>,
  inputs: readonly Tensor[],
  attrs: Attrs,
): Tensor[] {
  for (const [at, input] of inputs.entries()) if (!(input instanceof Tensor)) throw notATensor(op.name, at, input);
  const outputs = op.infer(
    inputs.map((input) => input.spec),
    attrs,
  );
  const node = new OpNode({ op, attrs, inputs, outputs });
  return outputs.map((_, index) => new Tensor(node, index));
}

/** Adds a node with one output (or takes the first). */
export function apply<Attrs extends object>(op: Op<string, Attrs>, inputs: readonly Tensor[], attrs: Attrs): Tensor {
  const [first] = applyAll(op, inputs, attrs);
  if (first === undefined) throw new TypeError(`${op.name} has no output`);
  return first;
}

function notATensor(op: string, at: number, got: unknown): LowrankError {
  return new LowrankError({
    code: 'tensor.argument',
    what: `the operand ${at} of ${op}`,
    expected: 'a Tensor',
    got: shown(got),
  });
}
