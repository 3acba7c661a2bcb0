import { sizeOf } from '@lowrank/tensor/op';
import type { AttrsOf, Operand } from '@lowrank/tensor/backend';
import { defineKernel, operand } from '../kernel.js';
import { rowForm } from '../rowKernel.js';
import { Shader, literal } from '../shader.js';

/** y = x·f·w with f = 1/√(mean(x²) + ε), a row at a time. */
export const rmsNorm = defineKernel<AttrsOf<'rmsNorm'>>({
  launches({ inputs, outputs, attrs: { epsilon } }, context) {
    const { rows, width } = rowsOf(operand(inputs, 0, 'rmsNorm'));
    const shader = new Shader(context);
    const form = rowForm(shader, rows, width, context);
    const x = shader.read('x', operand(inputs, 0, 'rmsNorm'));
    const w = shader.read('w', operand(inputs, 1, 'rmsNorm'));
    const y = shader.write('y', operand(outputs, 0, 'rmsNorm'));
    const loop = `for (var i = first; i < ${width}u; i += ${form.lanes}u)`;
    const body = `${form.helpers}
${form.head}
  let start = row * ${width}u;
  var squares = 0.0f;
  ${loop} { let value = ${x}[start + i]; squares = fma(value, value, squares); }
  let factor = 1.0f / sqrt(rowSum(squares, lane) / ${width}.0f + ${literal(epsilon)});
  ${loop} { ${y}[start + i] = ${x}[start + i] * factor * ${w}[i]; }
}
`;
    return [shader.launch({ label: `rmsNorm ${rows}x${width}`, body, workgroups: form.workgroups })];
  },
});

export function rowsOf({ shape }: Operand): { rows: number; width: number } {
  const width = shape.at(-1) ?? 1;
  return { rows: sizeOf(shape) / width, width };
}
