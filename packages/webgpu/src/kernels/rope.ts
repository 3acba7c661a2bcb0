import { sizeOf } from '@lowrank/tensor/op';
import type { AttrsOf } from '@lowrank/tensor/backend';
import { cellsOf } from '../fours.js';
import { defineKernel, operand } from '../kernel.js';
import { Shader, grid, mainHead } from '../shader.js';

/** Rotates the two halves of each head by the tables' angles; elements beyond the rotated part pass through. */
export const rope = defineKernel<AttrsOf<'rope'>>({
  launches({ inputs, outputs, attrs: { inverse } }, context) {
    const from = operand(inputs, 0, 'rope');
    const table = operand(inputs, 1, 'rope');
    const [, , heads = 1, size = 1] = from.shape;
    const [places = 1, half = 0] = table.shape;
    const to = operand(outputs, 0, 'rope');
    // A thread has a pair of numbers, of f16 groups of four, or one beyond the rotated part: it may write over what it
    // has read. Fours of f32 would be more registers than an NVIDIA holds for all its warps.
    const vector = from.dtype === 'f16' || to.dtype === 'f16';
    const unit = vector ? 4 : 1;
    const [turned, cells] = [half / unit, size / unit];
    const units = cells - turned;
    const total = (sizeOf(from.shape) / size) * units;
    const shader = new Shader(context);
    const bind = cellsOf(shader, vector);
    const x = bind.read('x', from);
    const cosine = bind.read('cosine', table);
    const sine = bind.read('sine', operand(inputs, 2, 'rope'));
    const positions = shader.read('positions', operand(inputs, 3, 'rope'), 'i32');
    const y = bind.write('y', to);
    const workgroups = grid(Math.ceil(total / 64));
    const angle = `position * ${turned}u + unit`;
    const body = `${mainHead(64, workgroups)}
  if (index >= ${shader.size('total', total)}) { return; }
  let unit = index % ${units}u;
  let head = index / ${units}u;
  if (unit >= ${turned}u) { let at = head * ${cells}u + ${turned}u + unit; ${y.write('at', x.read('at'))} return; }
  let first = head * ${cells}u + unit;
  let second = first + ${turned}u;
  let position = min(u32(${positions}[head / ${heads}u]), ${shader.size('places', places)} - 1u);
  let c = ${cosine.read(angle)};
  let s = ${inverse ? '-' : ''}${sine.read(angle)};
  let u = ${x.read('first')};
  let v = ${x.read('second')};
  ${y.write('first', 'u * c - v * s')}
  ${y.write('second', 'v * c + u * s')}
}
`;
    return [shader.launch({ label: 'rope', body, workgroups })];
  },
  halves: ([, table]) => (table?.shape[1] ?? 0) % 4 === 0,
  launchClass: () => 'rope',
});
