import type { Operand } from '@lowrank/tensor/backend';
import type { Spec } from '@lowrank/tensor/op';
import { sizeOf } from '@lowrank/tensor/op';
import { operand } from '../kernel.js';
import type { KernelContext, KernelStep, KernelDispatch } from '../kernel.js';
import { rowForm } from '../rowKernel.js';
import type { RowForm } from '../rowKernel.js';
import { Shader, grid, mainHead } from '../shader.js';
import { rowsOf } from './rmsNorm.js';

const rowsPerPart = 64;

/** How a norm turns a row into what its weight multiplies. */
export interface NormOfRow {
  readonly name: string;
  /** Numbers that the first pass keeps of each row. */
  readonly kept: number;
  /** Statements of the first pass, for one row: with `first == 0u`, what is kept goes to `at(0)`, `at(1)`, … */
  keep(x: string, width: number, form: RowForm, at: (index: number) => string): string;
  /** One addend, from expressions of x, of g and of what was kept. */
  addend(x: string, g: string, kept: (index: number) => string, total: string): string;
}

/**
 * dw[i] = Σ over rows of g·norm(x), in three passes: what the norm needs of each row, sums over parts of the rows, sums
 * over the parts.
 */
export function normWeightGradient(
  { inputs, outputs, workspace }: KernelStep<object>,
  context: KernelContext,
  norm: NormOfRow,
): KernelDispatch[] {
  const from: Operand = operand(inputs, 0, norm.name);
  const { rows, width } = rowsOf(from);
  if (workspace === undefined) throw new TypeError(`${norm.name} lacks its workspace`);
  const parts = Math.ceil(rows / rowsPerPart);
  const keptAt =
    (scratch: string) =>
    (index: number): string =>
      `${scratch}[${norm.kept === 1 ? 'row' : `${norm.kept}u * row + ${index}u`}]`;

  const firstPass = new Shader(context);
  const form = rowForm(firstPass, rows, width, context);
  const x = firstPass.read('x', from);
  const firstBody = `${form.helpers}
${form.head}
  ${norm.keep(x, width, form, keptAt(firstPass.write('scratch', workspace)))}
}
`;
  const sums = new Shader(context);
  const names = {
    x: sums.read('x', from),
    g: sums.read('g', operand(inputs, 1, norm.name)),
    scratch: sums.write('scratch', workspace),
  };
  const grids = grid(Math.ceil((parts * width) / 64));
  const cell = `row * ${width}u + i`;
  const sumBody = `${mainHead(64, grids)}
  if (index >= ${parts * width}u) { return; }
  let i = index % ${width}u;
  let start = (index / ${width}u) * ${rowsPerPart}u;
  var total = 0.0f;
  for (var row = start; row < min(start + ${rowsPerPart}u, ${rows}u); row++) {
    total = ${norm.addend(`${names.x}[${cell}]`, `${names.g}[${cell}]`, keptAt(names.scratch), 'total')};
  }
  ${names.scratch}[${norm.kept * rows}u + index] = total;
}
`;
  const last = new Shader(context);
  const scratch = last.read('scratch', workspace);
  const dw = last.write('dw', operand(outputs, 0, norm.name));
  const ends = grid(Math.ceil(width / 64));
  const lastBody = `${mainHead(64, ends)}
  if (index >= ${width}u) { return; }
  var total = 0.0f;
  for (var part = 0u; part < ${parts}u; part++) {
    total += ${scratch}[${norm.kept * rows}u + part * ${width}u + index];
  }
  ${dw}[index] = total;
}
`;
  return [
    firstPass.launch({ label: `${norm.name} rows`, body: firstBody, workgroups: form.workgroups }),
    sums.launch({ label: `${norm.name} parts`, body: sumBody, workgroups: grids }),
    last.launch({ label: `${norm.name} sum`, body: lastBody, workgroups: ends }),
  ];
}

/** Bytes of what is kept of the rows, and of the parts' sums. */
export function normWeightWorkspace(x: Spec | undefined, { kept }: NormOfRow): number {
  const width = x?.shape.at(-1) ?? 1;
  const rows = sizeOf(x?.shape ?? []) / width;
  return (kept * rows + Math.ceil(rows / rowsPerPart) * width) * 4;
}
