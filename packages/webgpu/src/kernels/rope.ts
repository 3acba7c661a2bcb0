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
    // A thread has a pair, or an element beyond the rotated part: it may write over what it has read.
    const units = size - half;
    const total = (sizeOf(from.shape) / size) * units;
    const shader = new Shader(context);
    const x = shader.read('x', from);
    const cosine = shader.read('cosine', table);
    const sine = shader.read('sine', operand(inputs, 2, 'rope'));
    const positions = shader.read('positions', operand(inputs, 3, 'rope'), 'i32');
    const y = shader.write('y', operand(outputs, 0, 'rope'));
    const workgroups = grid(Math.ceil(total / 64));
    const body = `${mainHead(64, workgroups)}
  if (index >= ${shader.size('total', total)}) { return; }
  let unit = index % ${units}u;
  let head = index / ${units}u;
  if (unit >= ${half}u) { let at = head * ${size}u + ${half}u + unit; ${y}[at] = ${x}[at]; return; }
  let first = head * ${size}u + unit;
  let second = first + ${half}u;
  let position = min(u32(${positions}[head / ${heads}u]), ${shader.size('places', places)} - 1u);
  let c = ${cosine}[position * ${half}u + unit];
  let s = ${inverse ? '-' : ''}${sine}[position * ${half}u + unit];
  let u = ${x}[first];
  let v = ${x}[second];
  ${y}[first] = u * c - v * s;
  ${y}[second] = v * c + u * s;
}
`;
    return [shader.launch({ label: 'rope', body, workgroups })];
  },
  launchClass: () => 'rope',
});
