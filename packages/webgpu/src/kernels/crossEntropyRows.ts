import type { AttrsOf } from '@lowrank/tensor/backend';
import { defineKernel, operand } from '../kernel.js';
import { rowForm } from '../rowKernel.js';
import { literal, Shader } from '../shader.js';

/**
 * Loss and gradient of a row of logits: maximum, sum of exponentials, then the gradient, which may replace the logits.
 */
export const crossEntropyRows = defineKernel<AttrsOf<'crossEntropyRows'>>({
  launches({ inputs, outputs, attrs: { gradient, labelSmoothing = 0, zLoss = 0 } }, context) {
    const logits = operand(inputs, 0, 'crossEntropyRows');
    const [rows = 0, width = 0] = logits.shape;
    const shader = new Shader(context);
    const form = rowForm(shader, rows, width, context);
    const dx = gradient ? shader.write('dx', operand(outputs, 1, 'crossEntropyRows')) : '';
    const x = shader.read('x', logits);
    const labels = shader.read('labels', operand(inputs, 1, 'crossEntropyRows'), 'i32');
    const loss = shader.write('loss', operand(outputs, 0, 'crossEntropyRows'));
    const loop = `for (var i = first; i < ${width}u; i += ${form.lanes}u)`;
    const zTerm = zLoss > 0 ? ` + ${literal(zLoss)} * normalizer * normalizer` : '';
    const zFactor = zLoss > 0 ? `(1.0f + ${literal(2 * zLoss)} * normalizer) * ` : '';
    const share = labelSmoothing > 0 ? ` - ${literal(labelSmoothing / width)}` : '';
    // Ignored rows run through the barriers with the others; only what they write differs. The label's logit is read
    // before any lane can overwrite it.
    const body = `${form.helpers}
${form.head}
  let start = row * ${width}u;
  let label = ${labels}[row];
  var top = -infinity();
  ${loop} { top = largest(top, ${x}[start + i]); }
  let highest = rowMax(top, lane);
  var total = 0.0f;
  // In pieces: one long sum that begins with the largest term would lose every later term below half a unit of it,
  // always downwards, and with them the very probability that the gradient of a confident row is made of.
  for (var piece = first; piece < ${width}u; piece += ${form.lanes * 32}u) {
    var part = 0.0f;
    for (var i = piece; i < min(piece + ${form.lanes * 32}u, ${width}u); i += ${form.lanes}u) {
      part += exp(${x}[start + i] - highest);
    }
    total += part;
  }
  let chosen = ${x}[start + u32(clamp(label, 0, ${width - 1}))];
  let sum = rowSum(total, lane);
  let normalizer = highest + log(sum);
${
  labelSmoothing > 0
    ? `  var all = 0.0f;
  ${loop} { all += ${x}[start + i]; }
  let target_ = ${literal(1 - labelSmoothing)} * chosen + ${literal(labelSmoothing / width)} * rowSum(all, lane);`
    : '  let target_ = chosen;'
}
  if (first == 0u) {
    ${loss}[row] = select(0.0f, normalizer - target_${zTerm}, label >= 0);
  }
${
  gradient
    ? `  ${loop} {
    let p = ${zFactor}exp(${x}[start + i] - highest) / sum
      - select(0.0f, ${literal(1 - labelSmoothing)}, i32(i) == label)${share};
    ${dx}[start + i] = select(0.0f, p, label >= 0);
  }\n`
    : ''
}}
`;
    return [shader.launch({ label: `crossEntropyRows ${rows}x${width}`, body, workgroups: form.workgroups })];
  },
});
