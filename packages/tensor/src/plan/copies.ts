import { castOp } from '../ops/cast.js';
import type { ElementwiseAttrs } from '../ops/elementwise.js';
import { elementwise } from '../ops/elementwise.js';
import type { Instruction, Value } from './program.js';

/** An instruction that copies a value to where another one lies. */
export function copyInto(target: Value, from: Value, scope: string): Instruction {
  if (from.spec.dtype !== 'f32')
    return { op: castOp, attrs: { dtype: from.spec.dtype }, inputs: [from], outputs: [target], scope };
  const attrs: ElementwiseAttrs = { program: [{ fn: 'copy', args: [0] }], shape: from.spec.shape };
  return { op: elementwise, attrs, inputs: [from], outputs: [target], scope };
}

/** An instruction that fills a value with zeros. */
export function zeroFill(target: Value, scope: string): Instruction {
  return {
    op: elementwise,
    attrs: { program: [{ fn: 'constant', value: 0 }], shape: target.spec.shape },
    inputs: [],
    outputs: [target],
    scope,
  };
}
