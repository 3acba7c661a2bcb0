import { sizeOf } from '@lowrank/tensor';
import type { AttrsOf, Spec } from '@lowrank/tensor';
import { defineKernel, operand } from '../kernel.js';
import { rowForm } from '../rowKernel.js';
import { Shader, grid, mainHead } from '../shader.js';
import { moments } from './layerNorm.js';
import { rowsOf } from './rmsNorm.js';

const rowsPerPart = 64;

/** dw[i] = Σ over rows of g·(x − μ)·f, in three passes: the rows' μ and f, sums over parts of the rows, sums over the parts. */
export const layerNormWeightGradient = defineKernel<AttrsOf<'layerNormWeightGradient'>>({
  launches({ inputs, outputs, workspace, attrs: { epsilon } }, context) {
    const from = operand(inputs, 0, 'layerNormWeightGradient');
    const { rows, width } = rowsOf(from);
    if (workspace === undefined) throw new TypeError('layerNormWeightGradient lacks its workspace');
    const parts = Math.ceil(rows / rowsPerPart);
    const firstPass = new Shader(context);
    const form = rowForm(firstPass, rows, width, context);
    const x = firstPass.read('x', from);
    const kept = firstPass.write('scratch', workspace);
    const firstBody = `${form.helpers}
${form.head}
  ${moments(x, width, epsilon, form)}
  if (first == 0u) { ${kept}[2u * row] = mean; ${kept}[2u * row + 1u] = factor; }
}
`;
    const sums = new Shader(context);
    const names = { x: sums.read('x', from), g: sums.read('g', operand(inputs, 1, 'layerNormWeightGradient')), scratch: sums.write('scratch', workspace) };
    const grids = grid(Math.ceil((parts * width) / 64));
    const sumBody = `${mainHead(64, grids)}
  if (index >= ${parts * width}u) { return; }
  let i = index % ${width}u;
  let start = (index / ${width}u) * ${rowsPerPart}u;
  var total = 0.0f;
  for (var row = start; row < min(start + ${rowsPerPart}u, ${rows}u); row++) {
    let normed = (${names.x}[row * ${width}u + i] - ${names.scratch}[2u * row]) * ${names.scratch}[2u * row + 1u];
    total = fma(${names.g}[row * ${width}u + i], normed, total);
  }
  ${names.scratch}[${2 * rows}u + index] = total;
}
`;
    const last = new Shader(context);
    const scratch = last.read('scratch', workspace);
    const dw = last.write('dw', operand(outputs, 0, 'layerNormWeightGradient'));
    const ends = grid(Math.ceil(width / 64));
    const lastBody = `${mainHead(64, ends)}
  if (index >= ${width}u) { return; }
  var total = 0.0f;
  for (var part = 0u; part < ${parts}u; part++) { total += ${scratch}[${2 * rows}u + part * ${width}u + index]; }
  ${dw}[index] = total;
}
`;
    return [
      firstPass.launch({ label: 'layerNormWeightGradient moments', body: firstBody, workgroups: form.workgroups }),
      sums.launch({ label: 'layerNormWeightGradient parts', body: sumBody, workgroups: grids }),
      last.launch({ label: 'layerNormWeightGradient sum', body: lastBody, workgroups: ends }),
    ];
  },
  workspace: ([x]) => workspaceOf(x),
});

function workspaceOf(x: Spec | undefined): number {
  const width = x?.shape.at(-1) ?? 1;
  const rows = sizeOf(x?.shape ?? []) / width;
  return (2 * rows + Math.ceil(rows / rowsPerPart) * width) * 4;
}
