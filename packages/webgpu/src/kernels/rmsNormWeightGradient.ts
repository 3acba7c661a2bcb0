import { sizeOf } from '@lowrank/tensor';
import type { AttrsOf, Spec } from '@lowrank/tensor';
import { defineKernel, operand } from '../kernel.js';
import { rowForm } from '../rowKernel.js';
import { Shader, grid, literal, mainHead } from '../shader.js';
import { rowsOf } from './rmsNorm.js';

const rowsPerPart = 64;

/** dw[i] = Σ over rows of g·x·f, in three passes: the rows' factors, sums over parts of the rows, sums over the parts. */
export const rmsNormWeightGradient = defineKernel<AttrsOf<'rmsNormWeightGradient'>>({
  launches({ inputs, outputs, workspace, attrs: { epsilon } }, context) {
    const from = operand(inputs, 0, 'rmsNormWeightGradient');
    const { rows, width } = rowsOf(from);
    if (workspace === undefined) throw new TypeError('rmsNormWeightGradient lacks its workspace');
    const parts = Math.ceil(rows / rowsPerPart);
    const factors = new Shader(context);
    const form = rowForm(factors, rows, width, context);
    const x = factors.read('x', from);
    const f = factors.write('scratch', workspace);
    const factorBody = `${form.helpers}
${form.head}
  var squares = 0.0f;
  for (var i = first; i < ${width}u; i += ${form.lanes}u) { let value = ${x}[row * ${width}u + i]; squares = fma(value, value, squares); }
  let total = rowSum(squares, lane);
  if (first == 0u) { ${f}[row] = 1.0f / sqrt(total / ${width}.0f + ${literal(epsilon)}); }
}
`;
    const sums = new Shader(context);
    const names = { x: sums.read('x', from), g: sums.read('g', operand(inputs, 1, 'rmsNormWeightGradient')), scratch: sums.write('scratch', workspace) };
    const grids = grid(Math.ceil((parts * width) / 64));
    const sumBody = `${mainHead(64, grids)}
  if (index >= ${parts * width}u) { return; }
  let i = index % ${width}u;
  let start = (index / ${width}u) * ${rowsPerPart}u;
  var total = 0.0f;
  for (var row = start; row < min(start + ${rowsPerPart}u, ${rows}u); row++) {
    total = fma(${names.g}[row * ${width}u + i] * ${names.x}[row * ${width}u + i], ${names.scratch}[row], total);
  }
  ${names.scratch}[${rows}u + index] = total;
}
`;
    const last = new Shader(context);
    const scratch = last.read('scratch', workspace);
    const dw = last.write('dw', operand(outputs, 0, 'rmsNormWeightGradient'));
    const ends = grid(Math.ceil(width / 64));
    const lastBody = `${mainHead(64, ends)}
  if (index >= ${width}u) { return; }
  var total = 0.0f;
  for (var part = 0u; part < ${parts}u; part++) { total += ${scratch}[${rows}u + part * ${width}u + index]; }
  ${dw}[index] = total;
}
`;
    return [
      factors.launch({ label: 'rmsNormWeightGradient factors', body: factorBody, workgroups: form.workgroups }),
      sums.launch({ label: 'rmsNormWeightGradient parts', body: sumBody, workgroups: grids }),
      last.launch({ label: 'rmsNormWeightGradient sum', body: lastBody, workgroups: ends }),
    ];
  },
  workspace: ([x]) => workspaceOf(x),
});

function workspaceOf(x: Spec | undefined): number {
  const width = x?.shape.at(-1) ?? 1;
  const rows = sizeOf(x?.shape ?? []) / width;
  return (rows + Math.ceil(rows / rowsPerPart) * width) * 4;
}
