import { sizeOf } from '@lowrank/tensor/op';
import type { AttrsOf } from '@lowrank/tensor/backend';
import { defineKernel, operand } from '../kernel.js';
import { Shader, grid, mainHead } from '../shader.js';

/** Rotates the two halves of each head by the tables' angles; elements beyond the rotated part pass through. */
export const rope = defineKernel<AttrsOf<'rope'>>({
  launches({ inputs, outputs, attrs: { inverse } }, context) {
    const from = operand(inputs, 0, 'rope');
    const table = operand(inputs, 1, 'rope');
    const [, , heads = 1, size = 1] = from.shape;
    const [places = 1, half = 0] = table.shape;
    const total = sizeOf(from.shape);
    const shader = new Shader(context);
    const x = shader.read('x', from);
    const cosine = shader.read('cosine', table);
    const sine = shader.read('sine', operand(inputs, 2, 'rope'));
    const positions = shader.read('positions', operand(inputs, 3, 'rope'), 'i32');
    const y = shader.write('y', operand(outputs, 0, 'rope'));
    const workgroups = grid(Math.ceil(total / 64));
    const body = `${mainHead(64, workgroups)}
  if (index >= ${shader.size('total', total)}) { return; }
  let d = index % ${size}u;
  if (d >= ${2 * half}u) { ${y}[index] = ${x}[index]; return; }
  let position = min(u32(${positions}[index / ${heads * size}u]), ${shader.size('places', places)} - 1u);
  let pair = d % ${Math.max(1, half)}u;
  let c = ${cosine}[position * ${half}u + pair];
  let s = ${inverse ? '-' : ''}${sine}[position * ${half}u + pair];
  if (d < ${half}u) { ${y}[index] = ${x}[index] * c - ${x}[index + ${half}u] * s; }
  else { ${y}[index] = ${x}[index] * c + ${x}[index - ${half}u] * s; }
}
`;
    return [shader.launch({ label: 'rope', body, workgroups })];
  },
});
