import { signature } from '../arguments.js';
import { aTensor } from '../tensorKinds.js';
import { apply, defineOp } from '../op.js';
import type { Tensor } from '../graph.js';

export interface CustomAttrs {
  readonly vjp: ((cotangent: Tensor, needs: readonly boolean[]) => readonly (Tensor | undefined)[]) | undefined;
}

/**
 * Its first input under another gradient rule: no kernel runs, only `grad` looks at it. The other inputs are where
 * gradients go.
 */
export const custom = defineOp<'custom', CustomAttrs>({
  name: 'custom',
  infer: ([value]) => [value ?? { shape: [], dtype: 'f32' }],
  vjp: ({ attrs, cotangents: [g], needs }) =>
    g === undefined || attrs.vjp === undefined ? [] : [undefined, ...attrs.vjp(g, needs.slice(1))],
  reference({ inputs: [x], outputs: [y] }) {
    y.set(x);
  },
  alias: () => 0,
});

/**
 * `value` with a gradient rule of its own: vjp(g, needs) gives dL/d(input) for each of `inputs` from g = dL/d(value).
 * For computations whose gradient falls out of the forward pass.
 */
export function withGradient(value: Tensor, inputs: readonly Tensor[], vjp: NonNullable<CustomAttrs['vjp']>): Tensor {
  return apply(custom, [value, ...inputs], { vjp });
}

const checkStopGradient = signature('stopGradient', { x: aTensor });

/** x, but no gradient flows back through it. */
export function stopGradient(x: Tensor): Tensor {
  checkStopGradient(x);
  return apply(custom, [x], { vjp: undefined });
}
