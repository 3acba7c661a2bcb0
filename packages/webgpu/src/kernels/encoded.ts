import type { AttrsOf } from '@lowrank/tensor/backend';
import { codeTable } from '../choices.js';
import { defineKernel, operand } from '../kernel.js';
import { Shader, grid, mainHead } from '../shader.js';
import { bindEncodedMatrix, codesOf, scalarAt, unpacking, vectorAt } from './matmul/operands.js';

/**
 * The elements of a matrix of codes, four to a thread where rows allow. For merging and checks: products read codes
 * themselves.
 */
export const decodeMatrix = defineKernel<AttrsOf<'decodeMatrix'>>({
  launches({ inputs, outputs, attrs: { encoding } }, context) {
    const table = codeTable(context.profile);
    const shader = new Shader(context);
    const matrix = bindEncodedMatrix(shader, {
      name: 'b',
      parts: inputs,
      encoding,
      innerName: '',
      alongInner: true,
      table,
    });
    const unit = matrix.vector ? 4 : 1;
    const total = (encoding.rows * encoding.columns) / unit;
    const y = shader.write('y', operand(outputs, 0, 'decodeMatrix'), unit === 4 ? 'vec4<f32>' : 'f32');
    const workgroups = grid(Math.ceil(total / 64));
    const body = `${unpacking([matrix])}
${mainHead(64, workgroups)}
${codesOf(matrix)?.fill('lane') ?? ''}  if (index >= ${shader.size('total', total)}) { return; }
  ${y}[index] = ${unit === 4 ? vectorAt(matrix, 'index * 4u') : scalarAt(matrix, 'index')};
}
`;
    return [
      shader.launch({ label: `decodeMatrix ${encoding.kind} ${encoding.rows}x${encoding.columns}`, body, workgroups }),
    ];
  },
});
