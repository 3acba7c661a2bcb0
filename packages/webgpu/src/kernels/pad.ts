import { sizeOf, stridesOf } from '@lowrank/tensor/op';
import type { AttrsOf } from '@lowrank/tensor/backend';
import { defineKernel, operand } from '../kernel.js';
import { Shader, grid, mainHead } from '../shader.js';

/** Zeros around a block: each output element knows whether it lies inside. */
export const pad = defineKernel<AttrsOf<'pad'>>({
  launches({ inputs, outputs, attrs: { before } }, context) {
    const from = operand(inputs, 0, 'pad');
    const to = operand(outputs, 0, 'pad');
    const shader = new Shader(context);
    const x = shader.read('x', from);
    const y = shader.write('y', to);
    const total = sizeOf(to.shape);
    const dense = stridesOf(to.shape);
    const strides = stridesOf(from.shape);
    const workgroups = grid(Math.ceil(total / 64));
    let body = `${mainHead(64, workgroups)}
  if (index >= ${total}u) { return; }
  var inside = true;
  var at = 0u;
`;
    to.shape.forEach((size, axis) => {
      // Below the block the difference wraps to a huge number, which the one comparison refuses too.
      body += `  {
    let c = (index / ${dense[axis] ?? 1}u) % ${size}u - ${before[axis] ?? 0}u;
    inside = inside && c < ${from.shape[axis]}u;
    at += c * ${strides[axis]}u;
  }
`;
    });
    body += `  if (inside) { ${y}[index] = ${x}[at]; } else { ${y}[index] = 0.0f; }\n}\n`;
    return [shader.launch({ label: 'pad', body, workgroups })];
  },
});
