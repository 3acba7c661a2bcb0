import { sizeOf } from '@lowrank/tensor/op';
import type { AttrsOf } from '@lowrank/tensor/backend';
import { defineKernel, operand } from '../kernel.js';
import { Shader, grid, mainHead } from '../shader.js';

/** y = silu(gate)·up. */
export const swiglu = defineKernel<AttrsOf<'swiglu'>>({
  launches({ inputs, outputs }, context) {
    const total = sizeOf(operand(inputs, 0, 'swiglu').shape);
    const shader = new Shader(context);
    const y = shader.write('y', operand(outputs, 0, 'swiglu'));
    const gate = shader.read('gate', operand(inputs, 0, 'swiglu'));
    const up = shader.read('up', operand(inputs, 1, 'swiglu'));
    const workgroups = grid(Math.ceil(total / 64));
    const body = `${mainHead(64, workgroups)}
  if (index >= ${shader.size('total', total)}) { return; }
  let x = ${gate}[index];
  ${y}[index] = x / (1.0f + exp(-x)) * ${up}[index];
}
`;
    return [shader.launch({ label: 'swiglu', body, workgroups })];
  },
});
