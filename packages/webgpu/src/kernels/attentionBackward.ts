import { sizeOf } from '@lowrank/tensor/op';
import type { Spec } from '@lowrank/tensor/op';
import { attentionBlocks } from '../choices.js';
import type { AttentionPass } from '../choices.js';
import { defineKernel } from '../kernel.js';
import type { KernelContext, KernelDispatch, Slice } from '../kernel.js';
import { Shader, grid, mainHead } from '../shader.js';
import { keyGradients } from './attention/keyGradients.js';
import { bindHeads, layoutOf, lengthsOf, visibility } from './attention/layout.js';
import type { AttentionKernelAttrs, Layout } from './attention/layout.js';
import { matrixKeyGradients, matrixQueryGradient } from './attention/matrixGradients.js';
import type { GradientScene } from './attention/matrixGradients.js';
import { queryGradient } from './attention/queryGradient.js';
import { operandOf } from './attention/tileWalk.js';
import type { BackwardStep } from './attention/tileWalk.js';

/**
 * The gradient in three passes, none of which needs atomics: each query's log-sum-exp, δ = Σ g·o and visible keys, side
 * by side; dq by walking keys; dk and dv by walking the queries of every head that reads the key.
 */
export const attentionBackward = defineKernel<AttentionKernelAttrs>({
  launches(step, context) {
    const specs = [...step.inputs.slice(0, 3), ...step.inputs.slice(6)];
    const layout = layoutOf(specs, step.attrs, context, 'queries');
    const { workspace } = step;
    if (workspace === undefined) throw new TypeError('attentionBackward lacks its workspace');
    const onMatrices = (pass: AttentionPass): GradientScene | undefined => {
      const chosen = attentionBlocks(layout, pass, context, context.limits.maxComputeWorkgroupStorageSize);
      return chosen && { layout, chosen, facts: workspace, context };
    };
    const [queries, keys] = [onMatrices('queries'), onMatrices('keys')];
    return [
      queryFacts(step, layout, workspace, context),
      queries === undefined ? queryGradient(step, layout, workspace, context) : matrixQueryGradient(step, queries),
      keys === undefined
        ? keyGradients(step, layoutOf(specs, step.attrs, context, 'keys'), workspace, context)
        : matrixKeyGradients(step, keys),
    ];
  },
  halves: () => true,
  workspace: ([q]: readonly Spec[]) => sizeOf(q?.shape.slice(0, 3) ?? []) * 16,
});

/**
 * Per query, in the log-sum-exp's order: log-sum-exp, δ and the keys it sees, [start, end) (exact as f32 up to 2²⁴).
 * The other passes then need one binding, and no mask logic.
 */
function queryFacts(step: BackwardStep, layout: Layout, workspace: Slice, context: KernelContext): KernelDispatch {
  const { batch, queries, heads, size, groups } = layout;
  const shader = new Shader(context);
  const { Q } = lengthsOf(shader, layout);
  const vectors = { size, groups, padded: groups };
  const [o, g] = [
    bindHeads(shader, 'o', operandOf(step, 3), vectors),
    bindHeads(shader, 'g', operandOf(step, 5), vectors),
  ];
  const lse = shader.read('lse', operandOf(step, 4));
  const seen = visibility(shader, layout, step.attrs, {
    segments: step.attrs.segments ? operandOf(step, 6) : undefined,
    lengths: undefined,
  });
  const facts = shader.write('facts', workspace, 'vec4<f32>');
  const total = batch * heads * queries;
  const workgroups = grid(Math.ceil(total / 64));
  const body = `${o.code}${g.code}${seen}
${mainHead(64, workgroups)}
  if (index >= ${shader.size('total', total)}) { return; }
  let i = index % ${Q};
  let head = (index / ${Q}) % ${heads}u;
  let b = index / (${Q} * ${heads}u);
  let start = ((b * ${Q} + i) * ${heads}u + head) * ${size}u;
  var delta = 0.0f;
  for (var c = 0u; c < ${groups}u; c++) { delta += dot(load_g(start, c), load_o(start, c)); }
  ${facts}[index] = vec4<f32>(${lse}[index], delta, vec2<f32>(visible(b, i)));
}
`;
  return shader.launch({ label: 'attentionBackward facts', body, workgroups });
}
