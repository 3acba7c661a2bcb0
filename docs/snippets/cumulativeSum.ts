import type { Tensor } from '@lowrank/tensor';
import type { Gradients, Op } from '@lowrank/tensor/op';
import { apply, defineOp, shapeError, showShape, sizeOf } from '@lowrank/tensor/op';
import { defineKernel, grid, mainHead, operand, Shader } from '@lowrank/webgpu';

interface CumulativeSumAttrs {
  /** From the end of each row instead of from its start. */
  readonly reverse: boolean;
}

// #region op
/** y[…, i] = Σ over j ≤ i of x[…, j]; with `reverse` over j ≥ i. f32 in and out, of one shape. */
export const cumulativeSumOp: Op<'cumulativeSum', CumulativeSumAttrs> = defineOp({
  name: 'cumulativeSum',
  infer([x]) {
    if (x?.dtype === 'f32' && x.shape.length > 0) return [{ shape: x.shape, dtype: 'f32' }];
    throw shapeError('cumulativeSum', 'f32 x […, D]', `${x?.dtype}${showShape(x?.shape ?? [])}`);
  },
  // dL/dx[j] = Σ over i ≥ j of g[i]: the same sum from the other end.
  vjp: ({ attrs: { reverse }, cotangents: [g] }): Gradients =>
    g === undefined ? [] : [apply(cumulativeSumOp, [g], { reverse: !reverse })],
  reference({ inputs: [x], outputs: [y], inputSpecs, attrs: { reverse } }) {
    const width = inputSpecs[0]?.shape.at(-1) ?? 1;
    if (x === undefined || y === undefined) return;
    for (let start = 0; start < x.length; start += width) {
      const row = x.slice(start, start + width);
      let sum = 0;
      (reverse ? row.reverse() : row).forEach((value, i) => {
        sum += value;
        y[start + (reverse ? width - 1 - i : i)] = sum;
      });
    }
  },
  flops: ([x]) => sizeOf(x?.shape ?? []),
});

/** The running sums along the last axis. */
export function cumulativeSum(x: Tensor, { reverse = false }: Partial<CumulativeSumAttrs> = {}): Tensor {
  return apply(cumulativeSumOp, [x], { reverse });
}
// #endregion op

// #region kernel
/** One thread a row: it walks the row once, from the end that the sum begins at. */
export const cumulativeSumKernel = defineKernel<CumulativeSumAttrs>({
  launches({ inputs, outputs, attrs: { reverse } }, context) {
    const input = operand(inputs, 0, 'cumulativeSum');
    const width = input.shape.at(-1) ?? 1;
    const rows = sizeOf(input.shape) / width;
    const workgroups = grid(Math.ceil(rows / 64));
    const shader = new Shader(context);
    const x = shader.read('x', input);
    const y = shader.write('y', operand(outputs, 0, 'cumulativeSum'));
    const body = `${mainHead(64, workgroups)}
  if (index >= ${shader.size('rows', rows)}) { return; }
  var sum = 0.0f;
  for (var i = 0u; i < ${width}u; i++) {
    let at = index * ${width}u + ${reverse ? `${width - 1}u - i` : 'i'};
    sum += ${x}[at];
    ${y}[at] = sum;
  }
}
`;
    return [shader.launch({ label: `cumulativeSum ${rows}x${width}`, body, workgroups })];
  },
});
// #endregion kernel
