import type { BackendSpec } from '../backend.js';
import { isLarge } from '../rowPieces.js';
import type { Program } from './program.js';
import { splitRules } from './splitRules.js';
import { Splitter } from './splitter.js';

/**
 * Cuts tensors that are larger than one binding (an embedding, an output projection, their gradients) into runs of
 * whole rows, and every op on them into ops on the pieces, by the rules of `splitRules.ts`. Models and gradients know
 * nothing of it. An op without a rule stays as it is, and placement refuses it by name.
 */
export function splitRows(program: Program, spec: BackendSpec): void {
  const specs = [
    ...program.instructions.flatMap(({ inputs, outputs }) => [...inputs, ...outputs]),
    ...program.effects.map(({ target }) => target),
  ];
  if (!specs.some((value) => isLarge(value.root.spec, spec))) return;
  const splitter = new Splitter(spec, splitRules);
  for (const instruction of program.instructions) splitter.take(instruction);
  program.instructions = splitter.instructions;
  program.effects = program.effects.flatMap(({ target, value }) => splitter.effects(target, value));
  for (const output of program.outputs) output.value = splitter.whole(output.value, `the output ${output.name}`);
}
