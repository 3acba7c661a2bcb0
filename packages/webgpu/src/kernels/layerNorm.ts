import type { AttrsOf } from '@lowrank/tensor/backend';
import { defineKernel, operand } from '../kernel.js';
import type { RowForm } from '../rowKernel.js';
import { rowForm } from '../rowKernel.js';
import { Shader, literal } from '../shader.js';
import { rowsOf } from './rmsNorm.js';

/** y = (x − μ)·f·w + b with f = 1/√(mean((x − μ)²) + ε), a row at a time. */
export const layerNorm = defineKernel<AttrsOf<'layerNorm'>>({
  launches({ inputs, outputs, attrs: { epsilon } }, context) {
    const { rows, width } = rowsOf(operand(inputs, 0, 'layerNorm'));
    const shader = new Shader(context);
    const form = rowForm(shader, rows, width, context);
    const x = shader.read('x', operand(inputs, 0, 'layerNorm'));
    const w = shader.read('w', operand(inputs, 1, 'layerNorm'));
    const b = shader.read('b', operand(inputs, 2, 'layerNorm'));
    const y = shader.write('y', operand(outputs, 0, 'layerNorm'));
    const body = `${form.helpers}
${form.head}
  ${moments(x, width, epsilon, form)}
  for (var i = first; i < ${width}u; i += ${form.lanes}u) {
    ${y}[start + i] = fma((${x}[start + i] - mean) * factor, ${w}[i], ${b}[i]);
  }
}
`;
    return [shader.launch({ label: `layerNorm ${rows}x${width}`, body, workgroups: form.workgroups })];
  },
});

/**
 * WGSL that makes `start`, `mean` and `factor` of the row of `x`. The squares are of what is left after the mean:
 * nothing cancels.
 */
export function moments(x: string, width: number, epsilon: number, { lanes }: RowForm): string {
  const loop = `for (var i = first; i < ${width}u; i += ${lanes}u)`;
  return `let start = row * ${width}u;
  var total = 0.0f;
  ${loop} { total += ${x}[start + i]; }
  let mean = rowSum(total, lane) / ${width}.0f;
  var squares = 0.0f;
  ${loop} { let value = ${x}[start + i] - mean; squares = fma(value, value, squares); }
  let factor = 1.0f / sqrt(rowSum(squares, lane) / ${width}.0f + ${literal(epsilon)});`;
}
