import type { BackendSpec } from '../backend.js';
import type { KernelName } from '../ops/index.js';
import type { Instruction, Program } from './program.js';
import type { Value } from './program.js';
import { isFree, laySideBySide } from './sideBySide.js';

/** Instructions that are launched as one, in the program's order: most alone. */
export type LaunchUnit = readonly Instruction[];

/** How far behind the first a launch may lie that joins it, and how many there may be. */
const reach = 48;
const mostMembers = 8;

/**
 * Gathers launches that do not depend on each other and that the backend can run as one (`BackendSpec.launchClass`):
 * q, k and v of one input, the gradients of their adapters. The later ones move up to the first. A kernel binds few
 * buffers, so that small results, and those that would be too many, come to lie side by side in one.
 */
export function groupLaunches(program: Program, spec: BackendSpec): LaunchUnit[] {
  if (spec.launchClass === undefined) return program.instructions.map((instruction) => [instruction]);
  const classes = new Map(
    program.instructions.map((instruction) => [
      instruction,
      spec.launchClass?.(instruction.op.name as KernelName, ...specsOf(instruction), instruction.attrs),
    ]),
  );
  const waiting: (Instruction | undefined)[] = [...program.instructions];
  return waiting.flatMap((first, at) => {
    if (first === undefined) return [];
    const members = [first];
    const wanted = classes.get(first);
    const passed: Instruction[] = [];
    for (let next = at + 1; wanted !== undefined && next < at + reach && members.length < mostMembers; next++) {
      const candidate = waiting[next];
      if (candidate === undefined) continue;
      const joins =
        classes.get(candidate) === wanted &&
        ![...passed, ...members].some((other) => depend(other, candidate)) &&
        (isThin(candidate) || !passed.some((other) => members.some((member) => reads(other, member)))) &&
        arrangementOf([...members, candidate], spec) !== undefined;
      (joins ? members : passed).push(candidate);
      if (joins) waiting[next] = undefined;
    }
    if (members.length > 1 && arrangementOf(members, spec) === 'slab') laySideBySide(freeResults(members), spec);
    return [members];
  });
}

function specsOf({ inputs, outputs }: Instruction): [inputs: Value['spec'][], outputs: Value['spec'][]] {
  return [inputs.map(({ spec }) => spec), outputs.map(({ spec }) => spec)];
}

/** One writes what the other reads or writes. */
function depend(a: Instruction, b: Instruction): boolean {
  return writesInto(a, b) || writesInto(b, a);
}

function writesInto(writer: Instruction, other: Instruction): boolean {
  return writer.outputs.some((output) => [...other.inputs, ...other.outputs].some((value) => value.overlaps(output)));
}

function reads({ inputs }: Instruction, maker: Instruction): boolean {
  return maker.outputs.some((output) => inputs.some(({ root }) => root === output.root));
}

/** Makes little of what the run has made before: made early, it takes little memory for longer. */
function isThin({ inputs, outputs }: Instruction): boolean {
  const made = outputs.reduce((total, { bytes }) => total + bytes, 0);
  const read = inputs.filter(({ root }) => root.leaf === undefined).map(({ bytes }) => bytes);
  return 4 * made <= Math.max(0, ...read);
}

function freeResults(members: LaunchUnit): Value[] {
  return members.flatMap(({ outputs }) => outputs.filter(isFree).map(({ root }) => root));
}

/** How a group fits what one kernel may bind: with results `apart`, or in one storage; undefined if not at all. */
function arrangementOf(members: LaunchUnit, spec: BackendSpec): 'apart' | 'slab' | undefined {
  const roots = new Set(members.flatMap(({ inputs, outputs }) => [...inputs, ...outputs].map(({ root }) => root)));
  const inputs = [...roots].filter(({ leaf }) => leaf?.kind !== 'scalar');
  const scratch = members.some(
    (member) => spec.workspaceBytes(member.op.name as KernelName, ...specsOf(member), member.attrs) > 0,
  );
  const apart = inputs.length + (scratch ? 1 : 0);
  const free = freeResults(members);
  const bytes = free.reduce((total, value) => total + value.bytes, 0);
  const largest = Math.max(...members.flatMap((member) => member.inputs.map((input) => input.bytes)));
  const canLie = free.length > 1 && bytes + free.length * spec.alignment <= spec.maxBindingBytes;
  if (canLie && (4 * bytes <= largest || apart > spec.maxOperands))
    return apart - free.length + 1 <= spec.maxOperands ? 'slab' : undefined;
  return apart <= spec.maxOperands ? 'apart' : undefined;
}
