import { LowrankError } from '@lowrank/errors';
import { bytesPerElement } from '../dtype.js';
import type { Node, Tensor } from '../graph.js';
import { describe } from '../graph.js';
import type { AnyOp, Spec } from '../op.js';
import type { PackAttrs } from '../ops/view.js';
import { topological } from '../reference.js';
import { sizeOf } from '../shape.js';
import type { SourcePiece } from '../source.js';
import type { Trace } from '../trace.js';

/** The compiler's own form of a trace: a list of instructions over values, which the passes rewrite. */
export interface Program {
  instructions: Instruction[];
  readonly inputs: readonly { readonly name: string; readonly value: Value }[];
  outputs: { readonly name: string; value: Value }[];
  effects: { readonly target: Value; value: Value }[];
}

export interface Instruction {
  op: AnyOp;
  attrs: object;
  inputs: Value[];
  outputs: Value[];
  readonly scope: string;
}

/**
 * A value of the program. A view has a base: the value whose storage it is a piece of. The passes may give a value a
 * base later, to have it written straight into its place in something larger.
 */
export class Value {
  base: Value | undefined;
  /** Bytes from the start of the base. */
  offset = 0;

  constructor(
    /** Its dtype is another where the planner keeps it in 16 bits. */
    public spec: Spec,
    /** Where the data comes from, for leaves. */
    readonly leaf?: Exclude<Node, { kind: 'op' }> | SourcePiece,
  ) {}

  get bytes(): number {
    return bytesOf(this.spec);
  }

  /** The value that owns the storage. */
  get root(): Value {
    return this.base === undefined ? this : this.base.root;
  }

  /** Bytes from the start of the root's storage. */
  get place(): number {
    return this.base === undefined ? 0 : this.offset + this.base.place;
  }

  /** True when this is the whole of its root's storage. */
  get whole(): boolean {
    return this.place === 0 && this.bytes === this.root.bytes;
  }

  /** True when both are the very same slice. */
  isSlice(other: Value): boolean {
    return this.root === other.root && this.place === other.place && this.bytes === other.bytes;
  }

  overlaps(other: Value): boolean {
    return this.root === other.root && this.place < other.place + other.bytes && other.place < this.place + this.bytes;
  }
}

export function bytesOf({ shape, dtype }: Spec): number {
  return Math.ceil((sizeOf(shape) * bytesPerElement(dtype)) / 4) * 4;
}

/** A view of `base` as `spec`, from byte `offset` on. */
export function viewOf(base: Value, spec: Spec, offset = 0): Value {
  const value = new Value(spec);
  value.base = base;
  value.offset = offset;
  return value;
}

/**
 * Lowers a trace: views become bases and offsets, equal instructions become one (common subexpressions; but what is
 * computed a second time to save memory stays apart from the first), and what no output or effect needs never gets in
 * (dead code).
 */
export function lower(trace: Trace): Program {
  const wanted = [
    ...trace.outputs.map(({ tensor }) => tensor),
    ...trace.effects.flatMap(({ target, value }) => [target, value]),
  ];
  const values = new Map<Node, Value[]>();
  const valueOf = ({ node, index }: Tensor): Value => {
    const found = values.get(node)?.[index];
    if (found !== undefined) return found;
    if (node.kind !== 'op') return leafValue(values, node);
    throw new LowrankError({
      code: 'tensor.graph',
      what: describe({ node, index } as Tensor),
      expected: 'a value made before its use',
      got: 'none',
    });
  };
  const instructions: Instruction[] = [];
  const known = new Map<string, Value[]>();
  const names = new ValueNames();
  for (const node of topological(wanted)) {
    if (node.kind !== 'op') {
      leafValue(values, node);
      continue;
    }
    const inputs = node.inputs.map(valueOf);
    const [first] = inputs;
    if (node.op.alias !== undefined && first !== undefined) {
      const [spec = first.spec] = node.outputs;
      values.set(node, [viewOf(first, spec, node.op.alias(node.attrs) * bytesPerElement(spec.dtype))]);
      continue;
    }
    const key =
      `${node.recomputes ?? ''} ${node.op.name} ${stableKey(node.attrs)} ` +
      `${inputs.map((input) => names.of(input)).join()}`;
    const equal = known.get(key);
    if (equal !== undefined) {
      values.set(node, equal);
      continue;
    }
    const outputs = node.outputs.map((spec) => new Value(spec));
    instructions.push({ op: node.op, attrs: node.attrs, inputs, outputs, scope: node.scope });
    values.set(node, outputs);
    known.set(key, outputs);
  }
  return {
    instructions,
    inputs: trace.inputs.map(({ name, tensor }) => ({ name, value: valueOf(tensor) })),
    outputs: trace.outputs.map(({ name, tensor }) => ({ name, value: valueOf(tensor) })),
    effects: trace.effects.map(({ target, value }) => ({ target: valueOf(target), value: valueOf(value) })),
  };
}

function leafValue(values: Map<Node, Value[]>, leaf: Exclude<Node, { kind: 'op' }>): Value {
  const [found] = values.get(leaf) ?? [];
  if (found !== undefined) return found;
  const value = new Value(leaf.spec, leaf);
  values.set(leaf, [value]);
  return value;
}

/** Names a value by what it is, so that two views of the same piece have one name. */
class ValueNames {
  private readonly ids = new Map<Value, number>();

  of(value: Value): string {
    const { root } = value;
    const id = this.ids.get(root) ?? this.ids.size;
    this.ids.set(root, id);
    return `${id}+${value.place}:${value.spec.dtype}[${value.spec.shape.join()}]`;
  }
}

/** JSON that tells NaN and the infinities apart. */
function stableKey(attrs: object): string {
  return JSON.stringify(attrs, (_, value: unknown) =>
    typeof value === 'number' && !Number.isFinite(value) ? String(value) : value,
  );
}

/** Drops instructions whose results nobody reads, and spares ops the outputs that nobody uses. */
export function removeDead(program: Program): void {
  const used = new Set<Value>();
  const use = ({ root }: Value): unknown => used.add(root);
  program.outputs.forEach(({ value }) => use(value));
  program.effects.forEach(({ target, value }) => [target, value].forEach(use));
  const kept: Instruction[] = [];
  for (const instruction of [...program.instructions].reverse()) {
    const flags = instruction.outputs.map(({ root }) => used.has(root));
    if (!flags.includes(true)) continue;
    instruction.inputs.forEach(use);
    kept.push(instruction);
    if (instruction.op.prune !== undefined) pruneOutputs(instruction, flags);
  }
  program.instructions = kept.reverse();
}

function pruneOutputs(instruction: Instruction, used: readonly boolean[]): void {
  const attrs = instruction.op.prune?.(instruction.attrs, used) as object;
  if (attrs === instruction.attrs) return;
  const specs = instruction.op.infer(
    instruction.inputs.map(({ spec }) => spec),
    attrs,
  );
  instruction.attrs = attrs;
  instruction.outputs = specs.map((spec, at) =>
    used[at] === true ? (instruction.outputs[at] ?? new Value(spec)) : new Value(spec),
  );
}

/** The instruction that reads a result for the last time; of those that the caller reads, none does. */
export function lastReads({ instructions, outputs, effects }: Program): Map<Value, Instruction> {
  const last = new Map<Value, Instruction>();
  for (const instruction of instructions)
    for (const { root } of instruction.inputs) if (root.leaf === undefined) last.set(root, instruction);
  for (const { value } of [...outputs, ...effects]) last.delete(value.root);
  return last;
}

/** How often each storage is read: by instructions, outputs and effects. */
export function countUses(program: Program): Map<Value, number> {
  const uses = new Map<Value, number>();
  const use = ({ root }: Value): unknown => uses.set(root, (uses.get(root) ?? 0) + 1);
  for (const { inputs } of program.instructions) inputs.forEach(use);
  program.outputs.forEach(({ value }) => use(value));
  program.effects.forEach(({ target, value }) => [target, value].forEach(use));
  return uses;
}

export function isPack(instruction: Instruction): instruction is Instruction & { attrs: PackAttrs } {
  return instruction.op.name === 'pack';
}
