import { sizeOf } from '@lowrank/tensor/op';
import type { AttrsOf, Operand } from '@lowrank/tensor/backend';
import { bindCells } from '../fours.js';
import type { Stored } from '../fours.js';
import { defineKernel, operand } from '../kernel.js';
import { Shader, grid, mainHead } from '../shader.js';

/**
 * dgate = g·up·σ(1 + gate(1 − σ)), dup = g·gate·σ, and where asked for y = gate·σ·up once more; each thread reads all
 * it needs before it writes, so that outputs may lie on inputs.
 */
export const swigluBackward = defineKernel<AttrsOf<'swigluBackward'>>({
  launches({ inputs, outputs, attrs: { forward } }, context) {
    const shape = operand(inputs, 0, 'swigluBackward').shape;
    const vector = (shape.at(-1) ?? 1) % 4 === 0;
    const total = sizeOf(shape) / (vector ? 4 : 1);
    const shader = new Shader(context);
    const bind = (name: string, list: readonly Operand[], at: number): Stored =>
      bindCells(shader, name, {
        slice: operand(list, at, 'swigluBackward'),
        vector,
        use: list === outputs ? 'write' : 'read',
      });
    const [dGate, dUp] = [bind('dGate', outputs, 0), bind('dUp', outputs, 1)];
    const [gate, up, g] = [bind('gate', inputs, 0), bind('up', inputs, 1), bind('g', inputs, 2)];
    const y = forward === true ? bind('y', outputs, 2) : undefined;
    const workgroups = grid(Math.ceil(total / 64));
    const body = `${mainHead(64, workgroups)}
  if (index >= ${shader.size('total', total)}) { return; }
  let x = ${gate.read('index')};
  let u = ${up.read('index')};
  let upstream = ${g.read('index')};
  let s = 1.0f / (1.0f + exp(-x));
  ${dGate.write('index', 'upstream * u * s * (1.0f + x * (1.0f - s))')}
  ${dUp.write('index', 'upstream * x * s')}${y === undefined ? '' : `\n  ${y.write('index', 'x * s * u')}`}
}
`;
    return [shader.launch({ label: 'swigluBackward', body, workgroups })];
  },
  halves: () => true,
});
