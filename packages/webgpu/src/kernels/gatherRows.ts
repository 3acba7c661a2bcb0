import { sizeOf } from '@lowrank/tensor/op';
import type { AttrsOf, Operand } from '@lowrank/tensor/backend';
import { defineKernel, operand } from '../kernel.js';
import { Shader, grid, mainHead } from '../shader.js';
import { bindMatrix, scalarAt } from './matmul/operands.js';

/**
 * Rows of a table in any dense encoding, or of 8-bit codes as numbers. Ids are clamped into the table, as robustness
 * would: the host refuses bad ones.
 */
export const gatherRows = defineKernel<AttrsOf<'gatherRows'>>({
  launches({ inputs, outputs }, context) {
    const table = operand(inputs, 0, 'gatherRows');
    const [rows = 1, width = 1] = table.shape;
    const ids = operand(inputs, 1, 'gatherRows');
    const total = sizeOf(ids.shape) * width;
    const shader = new Shader(context);
    const element = elementOf(shader, table);
    const id = shader.read('ids', ids, 'i32');
    const y = shader.write('y', operand(outputs, 0, 'gatherRows'));
    const workgroups = grid(Math.ceil(total / 64));
    const body = `${mainHead(64, workgroups)}
  if (index >= ${shader.size('total', total)}) { return; }
  let row = u32(clamp(${id}[index / ${width}u], 0, ${rows - 1}));
  let at = row * ${width}u + index % ${width}u;
  ${y}[index] = ${element};
}
`;
    return [shader.launch({ label: `gatherRows ${rows}x${width}`, body, workgroups })];
  },
});

/** WGSL of the table's element `at`. */
function elementOf(shader: Shader, table: Operand): string {
  if (table.dtype === 'i8') {
    const words = shader.read('rows', table, 'u32');
    return `f32(extractBits(bitcast<i32>(${words}[at / 4u]), 8u * (at & 3u), 8u))`;
  }
  const width = table.shape[1] ?? 1;
  const matrix = bindMatrix(shader, {
    name: 'rows',
    slice: table,
    dtype: table.dtype,
    inner: width,
    innerName: `${width}u`,
    alongInner: true,
    base: '',
  });
  return scalarAt(matrix, 'at');
}
