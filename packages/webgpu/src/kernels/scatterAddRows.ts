import { sizeOf } from '@lowrank/tensor/op';
import type { AttrsOf } from '@lowrank/tensor/backend';
import { defineKernel, operand } from '../kernel.js';
import { Shader, grid, mainHead } from '../shader.js';

/**
 * y[ids[n]] += g[n] without float atomics and in the order of n: zeros first; then each n learns whether its id
 * occurred before and where it occurs next; then the first of each id walks the chain and writes the row.
 */
export const scatterAddRows = defineKernel<AttrsOf<'scatterAddRows'>>({
  launches({ inputs, outputs, workspace, attrs: { rows } }, context) {
    const given = operand(inputs, 0, 'scatterAddRows');
    const ids = operand(inputs, 1, 'scatterAddRows');
    const result = operand(outputs, 0, 'scatterAddRows');
    if (workspace === undefined) throw new TypeError('scatterAddRows lacks its workspace');
    const count = sizeOf(ids.shape);
    const width = given.shape.at(-1) ?? 1;
    const zero = new Shader(context);
    const y0 = zero.write('y', result);
    const zeroGrid = grid(Math.ceil((rows * width) / 64));
    const zeroBody = `${mainHead(64, zeroGrid)}\n  if (index < ${rows * width}u) { ${y0}[index] = 0.0f; }\n}\n`;

    const link = new Shader(context);
    const id = link.read('ids', ids, 'i32');
    const chain = link.write('chain', workspace, 'u32');
    const linkGrid = grid(Math.ceil(count / 64));
    // The chain's entry is the next place of the same id (count: none); its top bit marks a place that is not the
    // first.
    const linkBody = `${mainHead(64, linkGrid)}
  if (index >= ${count}u) { return; }
  let mine = ${id}[index];
  var next = ${count}u;
  for (var n = index + 1u; n < ${count}u; n++) { if (${id}[n] == mine) { next = n; break; } }
  for (var n = 0u; n < index; n++) { if (${id}[n] == mine) { next |= 0x80000000u; break; } }
  ${chain}[index] = next;
}
`;
    const add = new Shader(context);
    const names = {
      g: add.read('g', given),
      ids: add.read('ids', ids, 'i32'),
      chain: add.read('chain', workspace, 'u32'),
      y: add.write('y', result),
    };
    const addGrid = grid(Math.ceil((count * width) / 64));
    const addBody = `${mainHead(64, addGrid)}
  if (index >= ${count * width}u) { return; }
  let column = index % ${width}u;
  var n = index / ${width}u;
  let target_row = ${names.ids}[n];
  if ((${names.chain}[n] & 0x80000000u) != 0u || target_row < 0 || target_row >= ${rows}) { return; }
  var total = 0.0f;
  while (n < ${count}u) {
    total += ${names.g}[n * ${width}u + column];
    n = ${names.chain}[n] & 0x7fffffffu;
  }
  ${names.y}[u32(target_row) * ${width}u + column] = total;
}
`;
    return [
      zero.launch({ label: 'scatterAddRows zero', body: zeroBody, workgroups: zeroGrid }),
      link.launch({ label: 'scatterAddRows link', body: linkBody, workgroups: linkGrid }),
      add.launch({ label: 'scatterAddRows add', body: addBody, workgroups: addGrid }),
    ];
  },
  workspace: ([, ids]) => sizeOf(ids?.shape ?? []) * 4,
});
