import type { AttrsOf } from '@lowrank/tensor/backend';
import { reductionLanes } from '../choices.js';
import { defineKernel, operand } from '../kernel.js';
import type { KernelContext, KernelDispatch, Slice } from '../kernel.js';
import { laneReductions } from '../laneReduce.js';
import { Shader, grid, mainHead, nonFinite } from '../shader.js';

type Attrs = AttrsOf<'reduce'>;

/** What one pass of a reduction does to an array read as [outer, length, inner]. */
export interface Reduction {
  readonly label: string;
  readonly kind: 'sum' | 'max';
  readonly outer: number;
  readonly length: number;
  readonly inner: number;
  readonly from: Slice;
  readonly to: Slice;
  /** Sum the squares. */
  readonly square?: boolean;
}

/**
 * Sum or maximum along the middle of [outer, length, inner], in two passes where few results take many elements each.
 */
export const reduce = defineKernel<Attrs>({
  launches({ inputs, outputs, workspace, attrs }, context) {
    return reduction(
      {
        ...attrs,
        label: `reduce ${attrs.kind}`,
        from: operand(inputs, 0, 'reduce'),
        to: operand(outputs, 0, 'reduce'),
      },
      workspace,
      context,
    );
  },
  workspace: (_, __, attrs) => reductionWorkspace(attrs),
  // Those that add up parts of products: each thread a result of its own.
  launchClass: (_, __, attrs, { profile }) => {
    const { outer, length, inner } = attrs;
    const alone = reductionLanes({ inner, length, results: outer * inner }, profile) === 1;
    return alone && reductionWorkspace(attrs) === 0 ? `reduce ${attrs.kind}` : undefined;
  },
});

const longest = 4096;

/** Parts that each row of a long reduction is cut into, for the first of two passes. */
function partsOf({ outer, length, inner }: Pick<Reduction, 'outer' | 'length' | 'inner'>): number {
  return length < 2 * longest || outer * inner >= 256 ? 1 : Math.min(256, Math.ceil(length / longest));
}

export function reductionWorkspace(size: Pick<Reduction, 'outer' | 'length' | 'inner'>): number {
  const parts = partsOf(size);
  return parts === 1 ? 0 : size.outer * size.inner * parts * 4;
}

export function reduction(task: Reduction, workspace: Slice | undefined, context: KernelContext): KernelDispatch[] {
  const parts = workspace === undefined ? 1 : partsOf(task);
  if (parts === 1 || workspace === undefined) return [pass({ task, parts: 1, context })];
  return [
    pass({ task: { ...task, to: workspace }, parts, context }),
    pass({ task: { ...task, from: workspace, length: parts, square: false }, parts: 1, context }),
  ];
}

/**
 * One pass: result (o, p, i) takes the elements of part p. Lanes of a workgroup share a result where rows are long and
 * lie together.
 */
function pass({ task, parts, context }: { task: Reduction; parts: number; context: KernelContext }): KernelDispatch {
  const { label, kind, outer, length, inner, from, to, square } = task;
  const shader = new Shader(context);
  const x = shader.read('x', from);
  const y = shader.write('y', to);
  const results = outer * parts * inner;
  const partLength = Math.ceil(length / parts);
  const lanes = reductionLanes({ inner, length: partLength, results }, context.profile);
  const workgroups = grid(lanes === 1 ? Math.ceil(results / 64) : results);
  const join = (a: string, b: string): string => (kind === 'sum' ? `${a} + ${b}` : `largest(${a}, ${b})`);
  const finish = lanes === 1 ? 'let joined = total;' : 'let joined = join(total, lane);\n  if (lane != 0u) { return; }';
  const { declarations, builtins, begin } =
    lanes === 1
      ? { declarations: '', builtins: [], begin: '' }
      : laneReductions(shader, { lanes, reductions: [{ name: 'join', kind }] }, context.profile);
  const body = `${nonFinite}${declarations}
${mainHead(64, workgroups, builtins)}
${begin}  let result = ${lanes === 1 ? 'index' : 'group'};
  if (result >= ${results}u) { return; }
  let i = result % ${inner}u;
  let part = (result / ${inner}u) % ${parts}u;
  let start = (result / ${inner * parts}u) * ${length * inner}u + i;
  let end = min((part + 1u) * ${partLength}u, ${length}u);
  var total = ${kind === 'sum' ? '0.0f' : '-infinity()'};
  for (var l = part * ${partLength}u + ${lanes === 1 ? '0u' : 'lane'}; l < end; l += ${lanes}u) {
    let value = ${x}[start + l * ${inner}u];
    total = ${join('total', square === true ? 'value * value' : 'value')};
  }
  ${finish}
  ${y}[result] = joined;
}
`;
  return shader.launch({ label, body, workgroups });
}
