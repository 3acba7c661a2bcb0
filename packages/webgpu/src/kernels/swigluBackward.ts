import { sizeOf } from '@lowrank/tensor/op';
import type { AttrsOf } from '@lowrank/tensor/backend';
import { defineKernel, operand } from '../kernel.js';
import { Shader, grid, mainHead } from '../shader.js';

/**
 * dgate = g·up·σ(1 + gate(1 − σ)), dup = g·gate·σ, and where asked for y = gate·σ·up once more; each thread reads all
 * it needs before it writes, so that outputs may lie on inputs.
 */
export const swigluBackward = defineKernel<AttrsOf<'swigluBackward'>>({
  launches({ inputs, outputs, attrs: { forward } }, context) {
    const total = sizeOf(operand(inputs, 0, 'swigluBackward').shape);
    const shader = new Shader(context);
    const dGate = shader.write('dGate', operand(outputs, 0, 'swigluBackward'));
    const dUp = shader.write('dUp', operand(outputs, 1, 'swigluBackward'));
    const gate = shader.read('gate', operand(inputs, 0, 'swigluBackward'));
    const up = shader.read('up', operand(inputs, 1, 'swigluBackward'));
    const g = shader.read('g', operand(inputs, 2, 'swigluBackward'));
    const y = forward === true ? shader.write('y', operand(outputs, 2, 'swigluBackward')) : undefined;
    const workgroups = grid(Math.ceil(total / 64));
    const body = `${mainHead(64, workgroups)}
  if (index >= ${shader.size('total', total)}) { return; }
  let x = ${gate}[index];
  let u = ${up}[index];
  let upstream = ${g}[index];
  let s = 1.0f / (1.0f + exp(-x));
  ${dGate}[index] = upstream * u * s * (1.0f + x * (1.0f - s));
  ${dUp}[index] = upstream * x * s;${y === undefined ? '' : `\n  ${y}[index] = x * s * u;`}
}
`;
    return [shader.launch({ label: 'swigluBackward', body, workgroups })];
  },
});
