import { copyInto } from './copies.js';
import { inPlacePairs } from './inPlace.js';
import type { Instruction, Program } from './program.js';
import { Value, viewOf } from './program.js';
import { StorageIndex } from './storageIndex.js';

/** An assigned value is computed right where its target lies, if nothing needs the old one later; else it is copied. */
export function placeEffects(program: Program): void {
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
