import { OpNode, Tensor } from './graph.js';

/**
 * The nodes of one checkpointed block, made a second time. What they read from outside the block is what the first ones
 * read.
 */
export class Recomputation {
  private readonly again = new Map<OpNode, OpNode>();

  /** Makes the copies, in the order of the originals. `used`: the nodes of the block whose gradient is wanted. */
  constructor(
    private readonly block: number,
    used: readonly OpNode[],
  ) {
    const found = new Set<OpNode>(used);
    for (const node of found)
      for (const { node: from } of node.inputs) if (from.kind === 'op' && this.holds(from)) found.add(from);
    for (const node of [...found].sort((a, b) => a.id - b.id))
      this.again.set(
        node,
        copyOf(
          node,
          node.inputs.map((input) => this.tensor(input)),
          block,
        ),
      );
  }

  /** A tensor of the block as it is computed again; any other as it is. */
  tensor(tensor: Tensor): Tensor {
    const copy = tensor.node.kind === 'op' ? this.again.get(tensor.node) : undefined;
    return copy === undefined ? tensor : new Tensor(copy, tensor.index);
  }

  /**
   * What a gradient rule made (every node of `first` or later), without hold on the first computation: rules that were
   * given as closures know its tensors, and would keep them alive.
   */
  release(gradient: Tensor, first: number): Tensor {
    const { node } = gradient;
    if (node.kind !== 'op') return gradient;
    if (this.holds(node)) {
      if (!this.again.has(node))
        this.again.set(
          node,
          copyOf(
            node,
            node.inputs.map((input) => this.release(input, first)),
            this.block,
          ),
        );
      return this.tensor(gradient);
    }
    if (node.id < first) return gradient;
    if (!this.again.has(node)) {
      const inputs = node.inputs.map((input) => this.release(input, first));
      const same = inputs.every((input, at) => input.node === node.inputs[at]?.node);
      this.again.set(
        node,
        same
          ? node
          : new OpNode({ op: node.op, attrs: node.attrs, inputs, outputs: node.outputs }, { scope: node.scope }),
      );
    }
    return this.tensor(gradient);
  }

  private holds({ block }: OpNode): boolean {
    return block === this.block;
  }
}

function copyOf(node: OpNode, inputs: readonly Tensor[], block: number): OpNode {
  return new OpNode(
    { op: node.op, attrs: node.attrs, inputs, outputs: node.outputs },
    { scope: `${node.scope} (recomputed)`.trimStart(), recomputes: block },
  );
}
