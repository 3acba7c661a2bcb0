import { listOf, signature } from './arguments.js';
import { aTensor } from './tensorKinds.js';
import { LowrankError } from '@lowrank/errors';
import type { OpNode } from './graph.js';
import { describe, scope, Tensor } from './graph.js';
import { add, full, zeros } from './ops/elementwise.js';
import { sumTo } from './ops/reduce.js';
import { Recomputation } from './recompute.js';
import { sameShape, shapeError, showShape } from './shape.js';
import { nextNodeId } from './source.js';

const checkGrad = signature('grad', { loss: aTensor, parameters: listOf(aTensor) });

/**
 * dL/d(parameter) for each parameter, as lazy tensors, by reverse-mode differentiation of the lazy graph. `loss` is a
 * scalar; a parameter that the loss does not depend on gets zeros. Ops made for a gradient carry the module path of the
 * op they come from. What lies in a `checkpoint` is computed again right before its gradient.
 */
export function grad(loss: Tensor, parameters: readonly Tensor[]): Tensor[] {
  checkGrad(loss, parameters);
  if (loss.size !== 1)
    throw shapeError('grad', 'a loss of one element', `${describe(loss)} of ${showShape(loss.shape)}`, 'Sum it first.');
  const cotangents = new Map<string, Tensor>([[keyOf(loss), full(loss.shape, 1)]]);
  const wanted = new Set(parameters.map(keyOf));
  const order = dependents(loss, wanted);
  const needs = (input: Tensor): boolean =>
    wanted.has(keyOf(input)) || (input.node.kind === 'op' && order.has(input.node));
  const recomputed = new Map<number, Recomputation>();
  const recompute = (block: number): Recomputation => {
    const made =
      recomputed.get(block) ??
      new Recomputation(
        block,
        [...order].filter((node) => node.block === block),
      );
    recomputed.set(block, made);
    return made;
  };
  for (const node of [...order].sort((a, b) => b.id - a.id)) {
    const incoming = node.outputs.map((_, index) => cotangents.get(`${node.id}:${index}`));
    if (incoming.every((cotangent) => cotangent === undefined)) continue;
    const again = node.block === undefined ? undefined : recompute(node.block);
    const gradients = backward({ node, cotangents: incoming, needs: node.inputs.map(needs), again });
    node.inputs.forEach((input, at) => {
      const gradient = gradients[at];
      if (gradient === undefined || !needs(input)) return;
      const known = cotangents.get(keyOf(input));
      const part = sameShape(gradient.shape, input.shape)
        ? gradient
        : scope(node.scope, () => sumTo(gradient, input.shape));
      cotangents.set(keyOf(input), known === undefined ? part : scope(node.scope, () => add(known, part)));
    });
  }
  return parameters.map((parameter) => cotangents.get(keyOf(parameter)) ?? zeros(parameter.shape));
}

interface BackwardStep {
  readonly node: OpNode;
  readonly cotangents: readonly (Tensor | undefined)[];
  readonly needs: readonly boolean[];
  readonly again: Recomputation | undefined;
}

function backward({ node, cotangents, needs, again }: BackwardStep): readonly (Tensor | undefined)[] {
  const { op, attrs } = node;
  if (op.vjp === undefined) {
    throw new LowrankError({
      code: 'tensor.gradient',
      what: `the gradient of ${describe(new Tensor(node, 0))}`,
      expected: 'a differentiable op',
      got: op.name,
      remedy: 'Use stopGradient where no gradient is meant to flow.',
    });
  }
  const now = (tensor: Tensor): Tensor => again?.tensor(tensor) ?? tensor;
  const inputs = node.inputs.map(now);
  const outputs = node.outputs.map((_, index) => now(new Tensor(node, index)));
  const first = nextNodeId();
  const gradients = scope(node.scope, () => op.vjp?.({ inputs, outputs, attrs, cotangents, needs }) ?? []);
  return again === undefined ? gradients : gradients.map((gradient) => gradient && again.release(gradient, first));
}

/** The op nodes between the wanted tensors and the loss, inputs before users. */
function dependents(loss: Tensor, wanted: ReadonlySet<string>): Set<OpNode> {
  const reaches = new Map<OpNode, boolean>();
  const order = new Set<OpNode>();
  const stack: { node: OpNode; next: number }[] = [];
  if (loss.node.kind === 'op') stack.push({ node: loss.node, next: 0 });
  // An explicit stack: a model's graph is deeper than JavaScript's.
  while (stack.length > 0) {
    const top = stack[stack.length - 1];
    if (top === undefined) break;
    const input = top.node.inputs[top.next++];
    if (input !== undefined) {
      if (input.node.kind === 'op' && !reaches.has(input.node)) stack.push({ node: input.node, next: 0 });
      continue;
    }
    const { node } = top;
    const reached = node.inputs.some(
      (from) => wanted.has(keyOf(from)) || (from.node.kind === 'op' && reaches.get(from.node) === true),
    );
    const self = node.outputs.some((_, index) => wanted.has(`${node.id}:${index}`));
    reaches.set(node, reached || self);
    if (reached) order.add(node);
    stack.pop();
  }
  return order;
}

function keyOf({ node, index }: Tensor): string {
  return `${node.id}:${index}`;
}
