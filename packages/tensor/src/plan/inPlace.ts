import type { InPlacePair } from '../op.js';
import type { Instruction } from './program.js';

/** The pairs of an op under its attributes. */
export function inPlacePairs({ op, attrs }: Pick<Instruction, 'op' | 'attrs'>): readonly InPlacePair[] {
  return typeof op.inPlace === 'function' ? op.inPlace(attrs) : (op.inPlace ?? []);
}
