import { signature } from '../arguments.js';
import { aTensor } from '../tensorKinds.js';
import { apply, applyAll, defineOp } from '../op.js';
import type { Spec } from '../op.js';
import type { Tensor } from '../graph.js';
import { sameShape, shapeError, showShape, sizeOf } from '../shape.js';

type None = Record<never, never>;

/** The attributes of `swigluBackward`. */
export interface SwigluBackwardAttrs {
  /** y = silu(gate)·up once more, the last output. Put there by the compiler. */
  readonly forward?: boolean;
}

/** y = silu(gate)·up, silu(x) = x·σ(x) (Shazeer 2020). The backward pass computes σ again rather than storing it. */
export const swigluOp = defineOp<'swiglu', None>({
  name: 'swiglu',
  infer(inputs) {
    requireEqual('swiglu', inputs);
    return [{ shape: inputs[0]?.shape ?? [], dtype: 'f32' }];
  },
  vjp({ inputs: [gate, up], cotangents: [g] }) {
    return gate === undefined || up === undefined || g === undefined ? [] : applyAll(swigluBackward, [gate, up, g], {});
  },
  reference({ inputs: [gate, up], outputs: [y] }) {
    gate.forEach((x, at) => {
      y[at] = (x / (1 + Math.exp(-x))) * up[at];
    });
  },
  inPlace: [
    [0, 0],
    [1, 0],
  ],
  asLeftOperand: () => ({ form: 'swiglu' }),
  asEpilogue: () => ({ form: 'swiglu', keeps: true }),
  halves: () => ({ inputs: [0, 1], outputs: [0] }),
  flops: ([x]) => 5 * sizeOf(x?.shape ?? []),
});

/** Outputs dgate = g·up·σ(gate)(1 + gate(1 − σ(gate))) and dup = g·silu(gate). */
export const swigluBackward = defineOp<'swigluBackward', SwigluBackwardAttrs>({
  name: 'swigluBackward',
  infer(inputs, { forward }) {
    requireEqual('swigluBackward', inputs);
    const spec = { shape: inputs[0]?.shape ?? [], dtype: 'f32' } as const;
    return forward === true ? [spec, spec, spec] : [spec, spec];
  },
  reference({ inputs: [gate, up, g], outputs: [dGate, dUp, y], attrs: { forward } }) {
    gate.forEach((x, at) => {
      const s = 1 / (1 + Math.exp(-x));
      const upstream = g[at];
      if (forward === true) y[at] = x * s * up[at];
      dGate[at] = upstream * up[at] * s * (1 + x * (1 - s));
      dUp[at] = upstream * x * s;
    });
  },
  inPlace: [
    [0, 0],
    [1, 1],
    [2, 0],
    [2, 2],
  ],
  asEpilogue: ({ forward }) => ({ form: 'swigluGradient', ...(forward === true && { forward }) }),
  halves: () => ({ inputs: [0, 1, 2], outputs: [0, 1, 2] }),
  remakes: { op: 'swiglu', inputs: 2, attrs: { forward: true } },
  flops: ([x]) => 10 * sizeOf(x?.shape ?? []),
});

function requireEqual(op: string, inputs: readonly Spec[]): void {
  const [first] = inputs;
  if (first !== undefined && inputs.every(({ shape, dtype }) => dtype === 'f32' && sameShape(shape, first.shape)))
    return;
  throw shapeError(op, 'f32 operands of one shape', inputs.map(({ shape }) => showShape(shape)).join(', '));
}

const checkSwiglu = signature('swiglu', { gate: aTensor, up: aTensor });

/**
 * silu(gate)·up, element by element, in one kernel (Shazeer 2020).
 *
 * @throws LowrankError `tensor.shape`
 */
export function swiglu(gate: Tensor, up: Tensor): Tensor {
  checkSwiglu(gate, up);
  return apply(swigluOp, [gate, up], {});
}
