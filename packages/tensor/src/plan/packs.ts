import { concatOp } from '../ops/movement.js';
import type { PackAttrs } from '../ops/view.js';
import { packPieces } from '../ops/view.js';
import type { Spec } from '../op.js';
import { sizeOf } from '../shape.js';
import { copyInto, zeroFill } from './copies.js';
import type { Instruction, Program } from './program.js';
import { isPack, Value, viewOf } from './program.js';

/** A pack becomes its inputs' storage; what cannot be moved there is copied at the pack's place in the program. */
export function placePacks(program: Program, alignment: number): void {
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
