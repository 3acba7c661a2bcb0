import { toFloat64, hostArray } from './dtype.js';
import type { Node, Tensor } from './graph.js';
import { sizeOf } from './shape.js';

/**
 * Evaluates tensors with every op's plain reference in double precision: the oracle. Slow on purpose; for tests and for
 * finite differences. Placeholders and persistent tensors that live on a device need a value in `values`.
 */
export async function evaluateReference(
  tensors: readonly Tensor[],
  values: ReadonlyMap<Node, Float64Array> = new Map(),
): Promise<Float64Array[]> {
  const results = new Map<Node, Float64Array[]>();
  for (const node of topological(tensors)) results.set(node, await evaluateNode(node, results, values));
  return tensors.map(({ node, index }) => results.get(node)?.[index] ?? new Float64Array());
}

async function evaluateNode(
  node: Node,
  results: ReadonlyMap<Node, Float64Array[]>,
  values: ReadonlyMap<Node, Float64Array>,
): Promise<Float64Array[]> {
  const given = values.get(node);
  if (given !== undefined) return [given];
  if (node.kind === 'scalar') return [Float64Array.of(node.value)];
  if (node.kind === 'source') return [toFloat64(hostArray(node.spec.dtype, await node.read()), node.spec.dtype)];
  if (node.kind === 'input') throw new TypeError(`no value for the argument ${node.name}`);
  const outputs = node.outputs.map(({ shape }) => new Float64Array(sizeOf(shape)));
  const inputs = node.inputs.map((input) => results.get(input.node)?.[input.index] ?? new Float64Array());
  node.op.reference({
    inputs,
    outputs,
    inputSpecs: node.inputs.map(({ spec }) => spec),
    outputSpecs: node.outputs,
    attrs: node.attrs,
  });
  return outputs;
}

/** Every node that the tensors depend on, inputs first; within that, in the order in which they were made. */
export function topological(tensors: readonly Tensor[]): Node[] {
  const found = new Set<Node>();
  const pending = tensors.map(({ node }) => node);
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    if (found.has(node)) continue;
    found.add(node);
    if (node.kind === 'op') pending.push(...node.inputs.map((input) => input.node));
  }
  // Ids count up as nodes are made, and a node is made after its inputs.
  return [...found].sort((a, b) => a.id - b.id);
}
