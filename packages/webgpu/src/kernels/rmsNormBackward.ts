import type { AttrsOf } from '@lowrank/tensor/backend';
import { defineKernel, operand } from '../kernel.js';
import { rowForm } from '../rowKernel.js';
import { Shader, literal } from '../shader.js';
import { rowsOf } from './rmsNorm.js';

/** dx = f·(g·w − x·f²·mean(x·g·w)) (+ c); may write over g or c, since a lane writes only what it alone has read. */
export const rmsNormBackward = defineKernel<AttrsOf<'rmsNormBackward'>>({
  launches({ inputs, outputs, attrs: { epsilon, addend } }, context) {
    const { rows, width } = rowsOf(operand(inputs, 0, 'rmsNormBackward'));
    const shader = new Shader(context);
    const form = rowForm(shader, rows, width, context);
    const dx = shader.write('dx', operand(outputs, 0, 'rmsNormBackward'));
    const x = shader.read('x', operand(inputs, 0, 'rmsNormBackward'));
    const w = shader.read('w', operand(inputs, 1, 'rmsNormBackward'));
    const g = shader.read('g', operand(inputs, 2, 'rmsNormBackward'));
    const plus = addend === true ? ` + ${shader.read('c', operand(inputs, 3, 'rmsNormBackward'))}[start + i]` : '';
    const loop = `for (var i = first; i < ${width}u; i += ${form.lanes}u)`;
    const body = `${form.helpers}
${form.head}
  let start = row * ${width}u;
  var squares = 0.0f;
  var product = 0.0f;
  ${loop} {
    let value = ${x}[start + i];
    squares = fma(value, value, squares);
    product = fma(value * ${g}[start + i], ${w}[i], product);
  }
  let factor = 1.0f / sqrt(rowSum(squares, lane) / ${width}.0f + ${literal(epsilon)});
  let scale = rowSum(product, lane) / ${width}.0f * factor * factor;
  ${loop} { ${dx}[start + i] = factor * (${g}[start + i] * ${w}[i] - ${x}[start + i] * scale)${plus}; }
}
`;
    return [shader.launch({ label: `rmsNormBackward ${rows}x${width}`, body, workgroups: form.workgroups })];
  },
});
