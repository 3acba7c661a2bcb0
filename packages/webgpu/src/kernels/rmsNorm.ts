import { sizeOf } from '@lowrank/tensor/op';
import type { AttrsOf, Operand } from '@lowrank/tensor/backend';
import { cellsOf } from '../fours.js';
import { defineKernel, operand } from '../kernel.js';
import { rowForm } from '../rowKernel.js';
import { Shader, literal } from '../shader.js';

/** y = x·f·w with f = 1/√(mean(x²) + ε), a row at a time, in groups of four where rows are whole groups. */
export const rmsNorm = defineKernel<AttrsOf<'rmsNorm'>>({
  launches({ inputs, outputs, attrs: { epsilon } }, context) {
    const { rows, width, vector, cells } = rowsOf(operand(inputs, 0, 'rmsNorm'));
    const shader = new Shader(context);
    const form = rowForm(shader, rows, cells, context);
    const bind = cellsOf(shader, vector);
    const x = bind.read('x', operand(inputs, 0, 'rmsNorm'));
    const w = bind.read('w', operand(inputs, 1, 'rmsNorm'));
    const y = bind.write('y', operand(outputs, 0, 'rmsNorm'));
    const loop = `for (var i = first; i < ${cells}u; i += ${form.lanes}u)`;
    const squares = vector ? 'squares += dot(value, value);' : 'squares = fma(value, value, squares);';
    const body = `${form.helpers}
${form.head}
  let start = row * ${cells}u;
  var squares = 0.0f;
  ${loop} { let value = ${x.read('start + i')}; ${squares} }
  let factor = 1.0f / sqrt(rowSum(squares, lane) / ${width}.0f + ${literal(epsilon)});
  ${loop} { ${y.write('start + i', `${x.read('start + i')} * factor * ${w.read('i')}`)} }
}
`;
    return [shader.launch({ label: `rmsNorm ${rows}x${width}`, body, workgroups: form.workgroups })];
  },
  halves: () => true,
});

/** The rows of an operand, and the cells of a row: groups of four numbers (`vector`), or numbers. */
export function rowsOf({ shape }: Operand): { rows: number; width: number; vector: boolean; cells: number } {
  const width = shape.at(-1) ?? 1;
  const vector = width % 4 === 0;
  return { rows: sizeOf(shape) / width, width, vector, cells: vector ? width / 4 : width };
}
