import type { AttrsOf } from '@lowrank/tensor/backend';
import { defineKernel, operand } from '../kernel.js';
import { rowForm } from '../rowKernel.js';
import { Shader } from '../shader.js';
import { moments } from './layerNorm.js';
import { rowsOf } from './rmsNorm.js';

/**
 * dx = f·(g·w − mean(g·w) − (x − μ)·f²·mean(g·w·(x − μ))); may write over g, since a lane writes only what it alone has
 * read.
 */
export const layerNormBackward = defineKernel<AttrsOf<'layerNormBackward'>>({
  launches({ inputs, outputs, attrs: { epsilon } }, context) {
    const { rows, width } = rowsOf(operand(inputs, 0, 'layerNormBackward'));
    const shader = new Shader(context);
    const form = rowForm(shader, rows, width, context);
    const dx = shader.write('dx', operand(outputs, 0, 'layerNormBackward'));
    const x = shader.read('x', operand(inputs, 0, 'layerNormBackward'));
    const w = shader.read('w', operand(inputs, 1, 'layerNormBackward'));
    const g = shader.read('g', operand(inputs, 2, 'layerNormBackward'));
    const loop = `for (var i = first; i < ${width}u; i += ${form.lanes}u)`;
    const body = `${form.helpers}
${form.head}
  ${moments(x, width, epsilon, form)}
  var sum = 0.0f;
  var product = 0.0f;
  ${loop} {
    let upstream = ${g}[start + i] * ${w}[i];
    sum += upstream;
    product = fma(upstream, ${x}[start + i] - mean, product);
  }
  let shift = rowSum(sum, lane) / ${width}.0f;
  let scale = rowSum(product, lane) / ${width}.0f * factor * factor;
  ${loop} { ${dx}[start + i] = factor * (${g}[start + i] * ${w}[i] - shift - (${x}[start + i] - mean) * scale); }
}
`;
    return [shader.launch({ label: `layerNormBackward ${rows}x${width}`, body, workgroups: form.workgroups })];
  },
});
