import type { AttrsOf } from '@lowrank/tensor/backend';
import { cellsOf } from '../fours.js';
import { defineKernel, operand } from '../kernel.js';
import { Shader, grid, mainHead } from '../shader.js';
import { rowsOf } from './rmsNorm.js';

/** y = silu(gate)·up. */
export const swiglu = defineKernel<AttrsOf<'swiglu'>>({
  launches({ inputs, outputs }, context) {
    const { rows, vector, cells } = rowsOf(operand(inputs, 0, 'swiglu'));
    const total = rows * cells;
    const shader = new Shader(context);
    const bind = cellsOf(shader, vector);
    const y = bind.write('y', operand(outputs, 0, 'swiglu'));
    const gate = bind.read('gate', operand(inputs, 0, 'swiglu'));
    const up = bind.read('up', operand(inputs, 1, 'swiglu'));
    const workgroups = grid(Math.ceil(total / 64));
    const body = `${mainHead(64, workgroups)}
  if (index >= ${shader.size('total', total)}) { return; }
  let x = ${gate.read('index')};
  ${y.write('index', `x / (1.0f + exp(-x)) * ${up.read('index')}`)}
}
`;
    return [shader.launch({ label: 'swiglu', body, workgroups })];
  },
  halves: () => true,
});
