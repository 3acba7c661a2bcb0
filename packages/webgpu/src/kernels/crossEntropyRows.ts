import type { AttrsOf } from '@lowrank/tensor/backend';
import { cellsOf } from '../fours.js';
import { defineKernel, operand } from '../kernel.js';
import { rowForm } from '../rowKernel.js';
import { literal, Shader } from '../shader.js';
import { rowsOf } from './rmsNorm.js';

/**
 * Loss and gradient of a row of logits: maximum, sum of exponentials, then the gradient, which may replace the logits.
 */
export const crossEntropyRows = defineKernel<AttrsOf<'crossEntropyRows'>>({
  launches({ inputs, outputs, attrs: { gradient, labelSmoothing = 0, zLoss = 0 } }, context) {
    const logits = operand(inputs, 0, 'crossEntropyRows');
    const { rows, width, vector, cells } = rowsOf(logits);
    const unit = vector ? 4 : 1;
    const shader = new Shader(context);
    const bind = cellsOf(shader, vector);
    const form = rowForm(shader, rows, width, context);
    const { lanes } = form;
    const dx = gradient ? bind.write('dx', operand(outputs, 1, 'crossEntropyRows')) : undefined;
    const x = bind.read('x', logits);
    const labels = shader.read('labels', operand(inputs, 1, 'crossEntropyRows'), 'i32');
    const loss = shader.write('loss', operand(outputs, 0, 'crossEntropyRows'));
    // A cell is four numbers where rows are whole groups of them.
    const each = (cell: string, use: (value: string, at: string) => string): string =>
      vector ? `for (var c = 0u; c < 4u; c++) { ${use(`${cell}[c]`, '4u * i + c')} }` : use(cell, 'i');
    const over = (use: (value: string, at: string) => string, [from, to, step] = ['first', `${cells}u`, `${lanes}u`]) =>
      `for (var i = ${from}; i < ${to}; i += ${step}) { let cell = ${x.read('start + i')}; ${each('cell', use)} }`;
    const piece = (lanes * 32) / unit;
    const zTerm = zLoss > 0 ? ` + ${literal(zLoss)} * normalizer * normalizer` : '';
    const zFactor = zLoss > 0 ? `(1.0f + ${literal(2 * zLoss)} * normalizer) * ` : '';
    const share = labelSmoothing > 0 ? ` - ${literal(labelSmoothing / width)}` : '';
    const slope = (value: string, at: string): string =>
      `${zFactor}exp(${value} - highest) / sum` +
      ` - select(0.0f, ${literal(1 - labelSmoothing)}, i32(${at}) == label)${share}`;
    // Ignored rows run through the barriers with the others; only what they write differs. The label's logit is read
    // before any lane can overwrite it.
    const body = `${form.helpers}
${form.head}
  let start = row * ${cells}u;
  let label = ${labels}[row];
  var top = -infinity();
  ${over((value) => `top = largest(top, ${value});`)}
  let highest = rowMax(top, lane);
  var total = 0.0f;
  // In pieces: one long sum that begins with the largest term would lose every later term below half a unit of it,
  // always downwards, and with them the very probability that the gradient of a confident row is made of.
  for (var piece = first; piece < ${cells}u; piece += ${piece}u) {
    var part = 0.0f;
    ${over((value) => `part += exp(${value} - highest);`, ['piece', `min(piece + ${piece}u, ${cells}u)`, `${lanes}u`])}
    total += part;
  }
  let chosenAt = u32(clamp(label, 0, ${width - 1}));
  let chosen = ${x.read(`start + chosenAt / ${unit}u`)}${vector ? '[chosenAt % 4u]' : ''};
  let sum = rowSum(total, lane);
  let normalizer = highest + log(sum);
${
  labelSmoothing > 0
    ? `  var all = 0.0f;
  ${over((value) => `all += ${value};`)}
  let target_ = ${literal(1 - labelSmoothing)} * chosen + ${literal(labelSmoothing / width)} * rowSum(all, lane);`
    : '  let target_ = chosen;'
}
  if (first == 0u) {
    ${loss}[row] = select(0.0f, normalizer - target_${zTerm}, label >= 0);
  }
${
  dx === undefined
    ? ''
    : `  for (var i = first; i < ${cells}u; i += ${lanes}u) {
    var p = ${x.read('start + i')};
    ${each('p', (value, at) => `${value} = select(0.0f, ${slope(value, at)}, label >= 0);`)}
    ${dx.write('start + i', 'p')}
  }\n`
}}
`;
    return [shader.launch({ label: `crossEntropyRows ${rows}x${width}`, body, workgroups: form.workgroups })];
  },
  halves: () => true,
});
