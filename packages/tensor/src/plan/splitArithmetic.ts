import type { ElementwiseInstruction } from '../ops/elementwise.js';
import { elementwise } from '../ops/elementwise.js';
import { Value } from './program.js';
import type { Splitter } from './splitter.js';

/** Makes one term, in a place of its own or in the given one. */
export type Term = (into?: Value) => Value;

/** The sum of what `terms` make, in order, as y: additions that the next pass takes into the products. */
export function sumOfTerms(splitter: Splitter, terms: readonly Term[], y: Value): Value {
  return join(splitter, { fn: 'add', args: [0, 1] }, terms, y);
}

/** What `terms` make, joined two by two as y. */
export function join(splitter: Splitter, formula: ElementwiseInstruction, terms: readonly Term[], y: Value): Value {
  return (
    terms.reduce((total: Value | undefined, term, at) => {
      if (total === undefined) return term(terms.length === 1 ? y : undefined);
      return arithmetic(splitter, [formula], [total, term()], at === terms.length - 1 ? y : undefined);
    }, undefined) ?? y
  );
}

export function constant(value: number): ElementwiseInstruction {
  return { fn: 'constant', value };
}

/** An elementwise program over values, of the shape of the largest. */
export function arithmetic(
  splitter: Splitter,
  program: readonly ElementwiseInstruction[],
  inputs: readonly Value[],
  output?: Value,
): Value {
  const largest = inputs.reduce(
    (one, other) => (other.bytes > one.bytes ? other : one),
    inputs[0] ?? new Value({ shape: [], dtype: 'f32' }),
  );
  return splitter.emit(elementwise, { program, shape: largest.spec.shape }, inputs, output);
}
