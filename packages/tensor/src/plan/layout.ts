import { LowrankError } from '@lowrank/errors';
import { castOp } from '../ops/cast.js';
import type { ElementwiseAttrs } from '../ops/elementwise.js';
import { elementwise } from '../ops/elementwise.js';
import { concatOp, sliceOp } from '../ops/movement.js';
import type { PackAttrs } from '../ops/view.js';
import { packPieces } from '../ops/view.js';
import { bytesPerElement } from '../dtype.js';
import type { InPlacePair, Spec } from '../op.js';
import { sizeOf } from '../shape.js';
import type { Instruction, Program } from './program.js';
import { isPack, Value, viewOf } from './program.js';

/**
 * Decides which values are written straight into a place in something larger: the inputs of a pack into the packed
 * vector, the value of an assignment into the persistent tensor, the result of an in-place op over its dying input.
 * What cannot is copied by an instruction of its own.
 */
export function layOut(program: Program, alignment: number): void {
  placePacks(program, alignment);
  keepOldOutputs(program);
  placeEffects(program);
  separateSlices(program);
  alignViews(program, alignment);
  reuseDyingInputs(program);
  copyForInPlaceOnly(program);
}

/** A pack becomes its inputs' storage; what cannot be moved there is copied at the pack's place in the program. */
function placePacks(program: Program, alignment: number): void {
  const makers = new Map<Value, Instruction>();
  const result: Instruction[] = [];
  for (const instruction of program.instructions) {
    const [packed] = instruction.outputs;
    if (!isPack(instruction) || packed === undefined) {
      instruction.outputs.forEach((output) => makers.set(output.root, instruction));
      result.push(instruction);
    } else if (instruction.attrs.offsets.some((offset) => (offset * 4) % alignment !== 0)) {
      result.push(...asConcat(instruction, packed));
    } else {
      placePack({ instruction, packed, makers, result });
    }
  }
  program.instructions = result;
}

interface PackPlacement {
  instruction: Instruction & { attrs: PackAttrs };
  packed: Value;
  makers: ReadonlyMap<Value, Instruction>;
  result: Instruction[];
}

function placePack({ instruction, packed, makers, result }: PackPlacement): void {
  let covered = 0;
  let first = result.length;
  instruction.inputs.forEach((input, at) => {
    const offset = (instruction.attrs.offsets[at] ?? 0) * 4;
    const maker = makers.get(input.root);
    covered += input.bytes;
    if (maker !== undefined && input.whole) {
      const { root } = input;
      root.base = packed;
      root.offset = offset;
      first = Math.min(first, result.indexOf(maker));
    } else {
      result.push(copyInto(viewOf(packed, input.spec, offset), input, instruction.scope));
    }
  });
  // Gaps must read as zero. One fill before the first piece is written is cheaper than a launch per gap.
  if (covered < packed.bytes) result.splice(first, 0, zeroFill(packed, instruction.scope));
}

function zeroFill(target: Value, scope: string): Instruction {
  return {
    op: elementwise,
    attrs: { program: [{ fn: 'constant', value: 0 }], shape: target.spec.shape },
    inputs: [],
    outputs: [target],
    scope,
  };
}

/** A pack whose pieces start where no kernel can bind a slice: one concatenation, with zeros for the gaps. */
function asConcat({ inputs, attrs, scope }: Instruction & { attrs: PackAttrs }, packed: Value): Instruction[] {
  const fills: Instruction[] = [];
  const parts = packPieces(
    attrs,
    inputs.map(({ spec }) => sizeOf(spec.shape)),
  ).map(({ input: at, length }) => {
    const spec: Spec = { shape: [length], dtype: 'f32' };
    const input = at === undefined ? undefined : inputs[at];
    if (input !== undefined) return viewOf(input, spec);
    const gap = new Value(spec);
    fills.push(zeroFill(gap, scope));
    return gap;
  });
  return [...fills, { op: concatOp, attrs: { axis: 0 }, inputs: parts, outputs: [packed], scope }];
}

/** An output that is persistent data which this run changes is copied while it is still the old. */
function keepOldOutputs(program: Program): void {
  const copies: Instruction[] = [];
  for (const output of program.outputs) {
    const { value } = output;
    if (!program.effects.some(({ target }) => target.overlaps(value))) continue;
    output.value = new Value(value.spec);
    copies.push(copyInto(output.value, value, 'output'));
  }
  program.instructions.unshift(...copies);
}

function copyInto(target: Value, from: Value, scope: string): Instruction {
  if (from.spec.dtype !== 'f32')
    return { op: castOp, attrs: { dtype: from.spec.dtype }, inputs: [from], outputs: [target], scope };
  const attrs: ElementwiseAttrs = { program: [{ fn: 'copy', args: [0] }], shape: from.spec.shape };
  return { op: elementwise, attrs, inputs: [from], outputs: [target], scope };
}

function placeEffects(program: Program): void {
  const ends: Instruction[] = [];
  const targets = program.effects.map(({ target }) => target);
  const index = new StorageIndex(program.instructions);
  for (const effect of program.effects) {
    const { target, value } = effect;
    if (value.isSlice(target)) continue;
    if (canWriteThere({ program, index, target, value })) {
      const { root } = value;
      root.base = target.root;
      root.offset = target.place;
      index.move(root, target.root);
      continue;
    }
    let from = value;
    if (index.writers(value.root).length === 0 && targets.some((other) => other.overlaps(value))) {
      // The value is itself state that another assignment overwrites: keep the old one aside.
      from = new Value(value.spec);
      const copy = copyInto(from, value, 'assign');
      index.add(copy, program.instructions.push(copy) - 1);
    }
    ends.push(copyInto(viewOf(target.root, value.spec, target.place), from, 'assign'));
  }
  program.instructions.push(...ends);
}

/** Which instructions touch a storage, and which write it, by their places in the program and in order. */
class StorageIndex {
  private readonly touched = new Map<Value, number[]>();
  private readonly written = new Map<Value, number[]>();

  constructor(instructions: readonly Instruction[]) {
    instructions.forEach((instruction, at) => this.add(instruction, at));
  }

  /** An instruction behind all that are known. */
  add({ inputs, outputs }: Instruction, at: number): void {
    for (const { root } of inputs) append(this.touched, root, at);
    for (const { root } of outputs) {
      append(this.touched, root, at);
      append(this.written, root, at);
    }
  }

  touches(root: Value): readonly number[] {
    return this.touched.get(root) ?? [];
  }

  writers(root: Value): readonly number[] {
    return this.written.get(root) ?? [];
  }

  /** What was a storage of its own lies in another one now. */
  move(from: Value, to: Value): void {
    for (const table of [this.touched, this.written]) {
      const both = new Set([...(table.get(to) ?? []), ...(table.get(from) ?? [])]);
      table.set(
        to,
        [...both].sort((a, b) => a - b),
      );
      table.delete(from);
    }
  }
}

function append(table: Map<Value, number[]>, root: Value, at: number): void {
  const places = table.get(root) ?? [];
  if (places.at(-1) !== at) places.push(at);
  table.set(root, places);
}

function canWriteThere({
  program,
  index,
  target,
  value,
}: {
  program: Program;
  index: StorageIndex;
  target: Value;
  value: Value;
}): boolean {
  const writers = index.writers(value.root);
  const [first = -1, last = -1] = [writers[0], writers.at(-1)];
  const instruction = program.instructions[last];
  if (instruction === undefined || !value.whole || value.root.leaf !== undefined) return false;
  const outputAt = instruction.outputs.findIndex((output) => output.root === value.root);
  const allowed = inPlacePairs(instruction).flatMap(([from, to]) => (to === outputAt ? [from] : []));
  if (
    instruction.inputs.some((input, at) => input.overlaps(target) && !(input.isSlice(target) && allowed.includes(at)))
  )
    return false;
  if (first !== last && instruction.inputs.some((input) => input.overlaps(target))) return false;
  // Everything else that touches the old value must come before.
  return !index
    .touches(target.root)
    .some((at) => at > first && at !== last && touchesOther(program.instructions[at], { target, value }));
}

function touchesOther(
  instruction: Instruction | undefined,
  { target, value }: { target: Value; value: Value },
): boolean {
  return (
    instruction !== undefined &&
    [...instruction.inputs, ...instruction.outputs].some((other) => other.root !== value.root && other.overlaps(target))
  );
}

/** The pairs of an op under its attributes. */
export function inPlacePairs({ op, attrs }: Pick<Instruction, 'op' | 'attrs'>): readonly InPlacePair[] {
  return typeof op.inPlace === 'function' ? op.inPlace(attrs) : (op.inPlace ?? []);
}

/** No instruction may read one slice and write another of the same storage: such an output is made apart and copied. */
function separateSlices(program: Program): void {
  program.instructions = program.instructions.flatMap((instruction) => {
    const copies: Instruction[] = [];
    instruction.outputs = instruction.outputs.map((output) => {
      const clash = instruction.inputs.some((input) => input.root === output.root && !input.isSlice(output));
      if (!clash) return output;
      const apart = new Value(output.spec);
      copies.push(copyInto(output, apart, instruction.scope));
      return apart;
    });
    return [instruction, ...copies];
  });
}

/** A view that starts at a place no kernel can bind is copied out first. */
function alignViews(program: Program, alignment: number): void {
  const copies = new Map<string, Value>();
  const ids = new Map<Value, number>();
  program.instructions = program.instructions.flatMap((instruction) => {
    const before: Instruction[] = [];
    instruction.inputs = instruction.inputs.map((input) => {
      if (input.place % alignment === 0 || input.root.leaf?.kind === 'scalar') return input;
      const id = ids.get(input.root) ?? ids.size;
      ids.set(input.root, id);
      const key = `${id}+${input.place}:${input.bytes}`;
      const known = copies.get(key);
      if (known !== undefined && program.effects.every(({ target }) => !target.overlaps(input)))
        return viewOf(known, input.spec);
      const { copy, value } = copyOut(input, instruction.scope);
      before.push(copy);
      copies.set(key, value);
      return value;
    });
    const astray = instruction.outputs.find((output) => output.place % alignment !== 0);
    if (astray !== undefined) throw unaligned(astray, instruction.scope);
    return [...before, instruction];
  });
}

function copyOut(view: Value, scope: string): { copy: Instruction; value: Value } {
  if (view.spec.dtype !== 'f32' || view.root.spec.dtype !== 'f32') throw unaligned(view, scope);
  const size = sizeOf(view.spec.shape);
  const flat = viewOf(view.root, { shape: [sizeOf(view.root.spec.shape)], dtype: 'f32' });
  const value = new Value({ shape: [size], dtype: 'f32' });
  const copy: Instruction = {
    op: sliceOp,
    attrs: { starts: [view.place / bytesPerElement('f32')], sizes: [size] },
    inputs: [flat],
    outputs: [value],
    scope,
  };
  return { copy, value: viewOf(value, view.spec) as Value };
}

function unaligned(value: Value, scope: string): LowrankError {
  return new LowrankError({
    code: 'tensor.alignment',
    what: `a piece of a tensor in ${scope === '' ? 'the program' : scope}`,
    expected: 'a piece that starts at an aligned place of its storage',
    got: `${value.spec.dtype} from byte ${value.place} on`,
    remedy: 'Start pieces at multiples of 64 elements, or copy with slice().',
  });
}

/** An op that may work in place does, where its input is read for the last time. */
function reuseDyingInputs(program: Program): void {
  const lastRead = new Map<Value, number>();
  program.instructions.forEach(({ inputs }, at) => inputs.forEach(({ root }) => lastRead.set(root, at)));
  const pinned = new Set<Value>(program.outputs.map(({ value }) => value.root));
  const packed = new Set<Value>();
  const writers = new Map<Value, number>();
  program.instructions.forEach(({ outputs }) =>
    outputs.forEach(({ root }) => writers.set(root, (writers.get(root) ?? 0) + 1)),
  );
  for (const [root, count] of writers) if (count > 1) packed.add(root);
  program.instructions.forEach((instruction, at) => {
    const taken = new Set<Value>();
    for (const [from, to] of inPlacePairs(instruction)) {
      const input = instruction.inputs[from];
      const output = instruction.outputs[to];
      if (
        input === undefined ||
        output === undefined ||
        output.base !== undefined ||
        pinned.has(output.root) ||
        writers.get(output.root) !== 1
      )
        continue;
      const { root } = input;
      const free =
        root.leaf === undefined &&
        !pinned.has(root) &&
        !packed.has(root) &&
        !taken.has(root) &&
        lastRead.get(root) === at;
      const readTwice = instruction.inputs.filter((other) => other.root === root && !other.isSlice(input)).length > 0;
      if (!free || readTwice || !input.whole || input.bytes !== output.bytes || input.spec.dtype !== output.spec.dtype)
        continue;
      if (instruction.op.name === 'elementwise' && sizeOf(input.spec.shape) !== sizeOf(output.spec.shape)) continue;
      output.base = root;
      output.offset = 0;
      taken.add(root);
      lastRead.set(root, lastRead.get(output) ?? at);
    }
  });
}

/** An op that only works in place gets a copy to work on, where its input could not be given up. */
function copyForInPlaceOnly(program: Program): void {
  program.instructions = program.instructions.flatMap((instruction) => {
    if (instruction.op.inPlaceOnly !== true) return [instruction];
    const copies: Instruction[] = [];
    for (const [from, to] of inPlacePairs(instruction)) {
      const input = instruction.inputs[from];
      const output = instruction.outputs[to];
      if (input === undefined || output === undefined || input.isSlice(output)) continue;
      copies.push(copyInto(output, input, instruction.scope));
      instruction.inputs[from] = output;
    }
    return [...copies, instruction];
  });
}
