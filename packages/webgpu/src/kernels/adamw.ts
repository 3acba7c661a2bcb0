import { segmentBlock, sizeOf } from '@lowrank/tensor/op';
import type { AttrsOf } from '@lowrank/tensor/backend';
import { defineKernel, operand } from '../kernel.js';
import { Shader, grid, literal, mainHead, nonFinite } from '../shader.js';

/** One AdamW step over flat vectors, in place; a clip factor that is not finite leaves everything as it is. */
export const adamw = defineKernel<AttrsOf<'adamw'>>({
  launches({ inputs, outputs, attrs: { beta1, beta2, epsilon } }, context) {
    const total = sizeOf(operand(inputs, 0, 'adamw').shape);
    const shader = new Shader(context);
    const p = shader.write('p', operand(outputs, 0, 'adamw'));
    const m = shader.write('m', operand(outputs, 1, 'adamw'));
    const v = shader.write('v', operand(outputs, 2, 'adamw'));
    const g = shader.read('g', operand(inputs, 1, 'adamw'));
    const table = shader.read('table', operand(inputs, 4, 'adamw'));
    const [lr, stepSize, biasScale, clip] = ['lr', 'stepSize', 'biasScale', 'clip'].map((name, at) =>
      shader.scalar(name, operand(inputs, 5 + at, 'adamw')),
    );
    const workgroups = grid(Math.ceil(total / 64));
    const body = `${nonFinite}
${mainHead(64, workgroups)}
  let factor = ${clip};
  if (index >= ${shader.size('total', total)} || !isFinite(factor)) { return; }
  let line = 2u * (index / ${segmentBlock}u);
  let multiplier = ${table}[line];
  let gradient = factor * ${g}[index];
  let first = ${literal(beta1)} * ${m}[index] + ${literal(1 - beta1)} * gradient;
  let second = ${literal(beta2)} * ${v}[index] + ${literal(1 - beta2)} * gradient * gradient;
  ${m}[index] = first;
  ${v}[index] = second;
  ${p}[index] = ${p}[index] * (1.0f - ${lr} * multiplier * ${table}[line + 1u])
    - ${stepSize} * multiplier * first / (sqrt(second) * ${biasScale} + ${literal(epsilon)});
}
`;
    return [shader.launch({ label: 'adamw', body, workgroups })];
  },
});
