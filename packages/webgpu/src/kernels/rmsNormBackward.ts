import type { AttrsOf } from '@lowrank/tensor/backend';
import { cellsOf } from '../fours.js';
import type { Stored } from '../fours.js';
import { defineKernel, operand } from '../kernel.js';
import { rowForm } from '../rowKernel.js';
import { Shader, literal } from '../shader.js';
import { rowsOf } from './rmsNorm.js';

/** dx = f·(g·w − x·f²·mean(x·g·w)) (+ c); may write over g or c, since a lane writes only what it alone has read. */
export const rmsNormBackward = defineKernel<AttrsOf<'rmsNormBackward'>>({
  launches({ inputs, outputs, attrs: { epsilon, addend } }, context) {
    const { rows, width, vector, cells } = rowsOf(operand(inputs, 0, 'rmsNormBackward'));
    const shader = new Shader(context);
    const form = rowForm(shader, rows, cells, context);
    const bind = cellsOf(shader, vector);
    const input = (name: string, at: number): Stored => bind.read(name, operand(inputs, at, 'rmsNormBackward'));
    const dx = bind.write('dx', operand(outputs, 0, 'rmsNormBackward'));
    const [x, w, g] = [input('x', 0), input('w', 1), input('g', 2)];
    const plus = addend === true ? ` + ${input('c', 3).read('start + i')}` : '';
    const loop = `for (var i = first; i < ${cells}u; i += ${form.lanes}u)`;
    const sum = (total: string, a: string, b: string): string =>
      vector ? `${total} += dot(${a}, ${b});` : `${total} = fma(${a}, ${b}, ${total});`;
    const [value, upstream] = [x.read('start + i'), `${g.read('start + i')} * ${w.read('i')}`];
    const body = `${form.helpers}
${form.head}
  let start = row * ${cells}u;
  var squares = 0.0f;
  var product = 0.0f;
  ${loop} {
    let value = ${value};
    ${sum('squares', 'value', 'value')}
    ${sum('product', 'value', upstream)}
  }
  let factor = 1.0f / sqrt(rowSum(squares, lane) / ${width}.0f + ${literal(epsilon)});
  let scale = rowSum(product, lane) / ${width}.0f * factor * factor;
  ${loop} { ${dx.write('start + i', `factor * (${upstream} - ${value} * scale)${plus}`)} }
}
`;
    return [shader.launch({ label: `rmsNormBackward ${rows}x${width}`, body, workgroups: form.workgroups })];
  },
  halves: () => true,
});
