import type { BackendSpec } from '../backend.js';
import type { Halves } from '../graph.js';
import type { KernelName } from '../ops/index.js';
import { bytesPerElement } from '../dtype.js';
import { sizeOf } from '../shape.js';
import { countBindings } from './bindings.js';
import { inPlacePairs } from './inPlace.js';
import type { Instruction, Program, Value } from './program.js';
import { lastReads } from './program.js';

/**
 * In mixed precision: intermediates of which 16 bits are enough for everyone who writes or reads them (`Op.halves`) are
 * f16 in memory, where the backend's kernels read and write that (`BackendSpec.keepsHalves`). Products round their
 * operands to f16 anyway: what only they read is the same number as before, in half the bytes. A value that anyone
 * needs in f32 stays so, as the residual stream does, which norms read.
 */
export function keepHalves(program: Program, spec: BackendSpec): void {
  if (spec.keepsHalves === undefined) return;
  const storages = storagesOf(program);
  const kept = new Set<Value>(storages.keys());
  const barred = barredFrom(program, spec);
  for (const [root, values] of storages)
    if (barred.has(root) || !values.every(isWholeFours) || !isApart(values)) kept.delete(root);
  keepInPlace(program, spec, kept);
  for (const root of kept) narrow(root, storages.get(root) ?? [], spec);
}

/** Intermediates by storage, with all values that lie there. */
function storagesOf({ instructions }: Program): Map<Value, Value[]> {
  const storages = new Map<Value, Value[]>();
  for (const value of new Set(instructions.flatMap(({ inputs, outputs }) => [...inputs, ...outputs]))) {
    const { root } = value;
    if (root.leaf === undefined) storages.set(root, [...(storages.get(root) ?? []), value]);
  }
  return storages;
}

/** The storages that someone reads or writes in 32 bits: an instruction, the caller, persistent data. */
function barredFrom({ instructions, outputs, effects }: Program, spec: BackendSpec): Set<Value> {
  const barred = new Set<Value>([...outputs, ...effects].map(({ value }) => value.root));
  for (const instruction of instructions) {
    const halves = halvesOf(instruction, spec);
    const bar = (values: readonly Value[], places: readonly number[]): void =>
      values.forEach(({ root }, at) => places.includes(at) || barred.add(root));
    bar(instruction.inputs, halves.inputs);
    bar(instruction.outputs, halves.outputs);
  }
  return barred;
}

function halvesOf({ op, attrs, inputs, outputs }: Instruction, spec: BackendSpec): Halves {
  const none = { inputs: [], outputs: [] };
  const halves = op.halves?.(attrs);
  if (halves === undefined) return none;
  const [read, written] = [inputs.map((input) => input.spec), outputs.map((output) => output.spec)];
  return spec.keepsHalves?.(op.name as KernelName, read, written, attrs) === true ? halves : none;
}

function isWholeFours({ spec: { dtype, shape } }: Value): boolean {
  return dtype === 'f32' && (shape.at(-1) ?? 1) % 4 === 0;
}

/** Values of one storage are the same piece of it, or pieces apart. */
function isApart(values: readonly Value[]): boolean {
  return values.every((value) => values.every((other) => value.isSlice(other) || !value.overlaps(other)));
}

/**
 * Of a result that lies over an operand, both are kept or neither, where the kernel could not bind them apart. What is
 * no longer kept may be an operand of another kernel, so this goes on until all fit.
 */
function keepInPlace(program: Program, spec: BackendSpec, kept: Set<Value>): void {
  const last = lastReads(program);
  for (let before = -1; before !== kept.size;) {
    before = kept.size;
    for (const instruction of program.instructions) {
      const { inputs, outputs } = instruction;
      const pairs = inPlacePairs(instruction).flatMap(([from, to]) => {
        const [input, output] = [inputs[from], outputs[to]];
        return input === undefined || output === undefined || last.get(input.root) !== instruction
          ? []
          : [{ input, output }];
      });
      const over = pairs.filter(({ input, output }) => kept.has(input.root) === kept.has(output.root));
      if (over.length === pairs.length) continue;
      const apart = outputs.filter((output) => !over.some((pair) => pair.output === output));
      if (countBindings([...inputs, ...apart]) <= spec.maxOperands) continue;
      for (const { input, output } of pairs) [input, output].forEach(({ root }) => kept.delete(root));
    }
  }
}

/** Makes a storage's values f16, and pieces that lie side by side move together. */
function narrow(root: Value, values: readonly Value[], { alignment }: BackendSpec): void {
  const places = new Map<number, number>();
  let end = 0;
  for (const { place, spec } of values.toSorted((a, b) => a.place - b.place)) {
    if (places.has(place)) continue;
    const start = Math.ceil(end / alignment) * alignment;
    places.set(place, start);
    end = start + sizeOf(spec.shape) * bytesPerElement('f16');
  }
  const moved = values.map((value) => ({ value, offset: places.get(value.place) ?? 0 }));
  root.spec = places.size === 1 ? { ...root.spec, dtype: 'f16' } : { shape: [Math.ceil(end / 4)], dtype: 'f32' };
  for (const { value, offset } of moved) {
    value.spec = { ...value.spec, dtype: 'f16' };
    if (value === root) continue;
    value.base = root;
    value.offset = offset;
  }
}
