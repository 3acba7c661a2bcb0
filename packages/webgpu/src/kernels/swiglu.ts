import { sizeOf } from '@lowrank/tensor/op';
import type { AttrsOf } from '@lowrank/tensor/backend';
import { bindCells } from '../fours.js';
import { defineKernel, operand } from '../kernel.js';
import { Shader, grid, mainHead } from '../shader.js';

/** y = silu(gate)·up. */
export const swiglu = defineKernel<AttrsOf<'swiglu'>>({
  launches({ inputs, outputs }, context) {
    const shape = operand(inputs, 0, 'swiglu').shape;
    const vector = (shape.at(-1) ?? 1) % 4 === 0;
    const total = sizeOf(shape) / (vector ? 4 : 1);
    const shader = new Shader(context);
    const y = bindCells(shader, 'y', { slice: operand(outputs, 0, 'swiglu'), vector, use: 'write' });
    const gate = bindCells(shader, 'gate', { slice: operand(inputs, 0, 'swiglu'), vector, use: 'read' });
    const up = bindCells(shader, 'up', { slice: operand(inputs, 1, 'swiglu'), vector, use: 'read' });
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
