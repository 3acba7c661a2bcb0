import type { AttrsOf } from '@lowrank/tensor/backend';
import { cellsOf } from '../fours.js';
import { defineKernel, operand } from '../kernel.js';
import { Shader, grid, mainHead } from '../shader.js';
import { rowsOf } from './rmsNorm.js';

/**
 * dgate = g·up·σ(1 + gate(1 − σ)), dup = g·gate·σ, and where asked for y = gate·σ·up once more; each thread reads all
 * it needs before it writes, so that outputs may lie on inputs.
 */
export const swigluBackward = defineKernel<AttrsOf<'swigluBackward'>>({
  launches({ inputs, outputs, attrs: { forward } }, context) {
    const { rows, vector, cells } = rowsOf(operand(inputs, 0, 'swigluBackward'));
    const total = rows * cells;
    const shader = new Shader(context);
    const bind = cellsOf(shader, vector);
    const dGate = bind.write('dGate', operand(outputs, 0, 'swigluBackward'));
    const dUp = bind.write('dUp', operand(outputs, 1, 'swigluBackward'));
    const gate = bind.read('gate', operand(inputs, 0, 'swigluBackward'));
    const up = bind.read('up', operand(inputs, 1, 'swigluBackward'));
    const g = bind.read('g', operand(inputs, 2, 'swigluBackward'));
    const y = forward === true ? bind.write('y', operand(outputs, 2, 'swigluBackward')) : undefined;
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
