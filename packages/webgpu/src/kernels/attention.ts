import { defineKernel, operand } from '../kernel.js';
import { literal, nonFinite, Shader } from '../shader.js';
import type { Operand, Step } from '@lowrank/tensor/backend';
import { attentionBlocks, keyParts } from '../choices.js';
import { decodeAttention, decodeWorkspace } from './attention/decode.js';
import type { DecodeOperands } from './attention/decode.js';
import { matrixForward } from './attention/matrixForward.js';
import {
  agree,
  agreeDeclarations,
  attentionHead,
  attentionShader,
  bindHeads,
  bindResult,
  declareBases,
  declareSlots,
  declareVector,
  fillTile,
  groupOf,
  joinShares,
  layoutOf,
  overGroups,
  overTile,
  rowBase,
  cap,
  capDeclaration,
  lengthsOf,
  sharesDeclaration,
  slot,
  visibility,
  wholeGroup,
} from './attention/layout.js';
import type { AttentionKernelAttrs, Layout } from './attention/layout.js';

/**
 * Flash attention (Dao et al. 2022): each query walks the keys it sees in tiles with an online softmax; nothing of size
 * Tq×Tk exists. Writes the output and the log-sum-exp of each query.
 */
export const attention = defineKernel<AttentionKernelAttrs>({
  launches(step, context) {
    const { inputs, outputs, workspace, attrs } = step;
    const layout = layoutOf(inputs, attrs, context, 'forward');
    const parts = keyParts(layout, context);
    if (parts !== undefined) {
      const make = (): Shader => new Shader(context);
      return decodeAttention(make, decodeOperands({ inputs, outputs, workspace }, attrs), { layout, attrs, parts });
    }
    const chosen = attentionBlocks(layout, 'forward', context, context.limits.maxComputeWorkgroupStorageSize);
    if (chosen !== undefined) return [matrixForward(step, { layout, chosen, context })];
    const shader = attentionShader(layout, context);
    const loads = ['q', 'k', 'v']
      .map((name, at) => bindHeads(shader, name, operand(inputs, at, 'attention'), layout).code)
      .join('');
    const masks = {
      segments: attrs.segments ? operand(inputs, 3, 'attention') : undefined,
      lengths: attrs.lengths ? operand(inputs, attrs.segments ? 4 : 3, 'attention') : undefined,
    };
    const seen = visibility(shader, layout, attrs, masks);
    const stores = bindResult(shader, 'o', operand(outputs, 0, 'attention'), layout).code;
    const lse = shader.write('lse', operand(outputs, 1, 'attention'));
    const { batch, queries, heads, tile, shared, padded } = layout;
    const keyTile = `var<workgroup> keyTile: array<vec4<f32>, ${tile * padded}>;\n`;
    const memory = shared ? `${keyTile}${sharesDeclaration(layout, tile)}${agreeDeclarations(layout)}` : '';
    const body = `${nonFinite}${capDeclaration(attrs)}${loads}${stores}${seen}${memory}
${attentionHead(layout, lengthsOf(shader, layout).Q)}${forwardBody(shader, layout, attrs, lse)}}
`;
    return [
      shader.launch({
        label: `attention ${queries}x${layout.keys} heads of ${layout.size}`,
        body,
        workgroups: [Math.ceil(queries / layout.rows), heads, batch],
      }),
    ];
  },
  halves: (inputs, _, attrs, context) => keyParts(layoutOf(inputs, attrs, context, 'forward'), context) === undefined,
  workspace(inputs, _, attrs, context) {
    const layout = layoutOf(inputs, attrs, context, 'forward');
    return decodeWorkspace(layout, keyParts(layout, context) ?? 1);
  },
});

function decodeOperands(
  { inputs, outputs, workspace }: Pick<Step, 'inputs' | 'outputs' | 'workspace'>,
  attrs: AttentionKernelAttrs,
): DecodeOperands {
  const input = (at: number): Operand => operand(inputs, at, 'attention');
  return {
    q: input(0),
    k: input(1),
    v: input(2),
    segments: attrs.segments ? input(3) : undefined,
    lengths: attrs.lengths ? input(attrs.segments ? 4 : 3) : undefined,
    o: operand(outputs, 0, 'attention'),
    lse: operand(outputs, 1, 'attention'),
    workspace,
  };
}

/** Scores below this do not occur; it stands for "nothing seen yet" where an infinity would breed NaN. */
const bottom = '-3.0e38f';

function forwardBody(shader: Shader, layout: Layout, attrs: AttentionKernelAttrs, lse: string): string {
  const { Q, K } = lengthsOf(shader, layout);
  const { heads, keyHeads, size, shared, tile, padded } = layout;
  const keyBase = (j: string): string => `((b * ${K} + ${j}) * ${keyHeads}u + keyHead) * ${size}u`;
  const row = (name: 'k' | 'v', at: string, c: string): string =>
    shared ? `keyTile[${at} * ${padded}u + ${wholeGroup(layout, c)}]` : `load_${name}(${rowBase(at)}, ${c})`;
  const fill = (load: 'k' | 'v'): string =>
    shared ? fillTile(layout, { tile: 'keyTile', load, start: 'j0', limit: K, base: keyBase }) : '';
  const barrier = shared ? '    workgroupBarrier();\n' : '';
  const q = (c: string): string => groupOf(layout, 'q', c);
  const o = (c: string): string => groupOf(layout, 'o', c);
  const s = (at: string): string => slot(layout, 's', at);
  const inside = (at: string): string => `j0 + ${at} >= mine.x && j0 + ${at} < mine.y`;
  const loadQuery = (c: string): string => `load_q(queryBase, ${wholeGroup(layout, c)}) * ${literal(attrs.scale)}`;
  const ownVectors = `${declareVector(layout, 'q', loadQuery)}${declareVector(layout, 'o')}`;
  const scores = overTile(layout, (at) =>
    overGroups(layout, (c) => `      ${s(at)} += dot(${q(c)}, ${row('k', at, c)});\n`),
  );
  const capping = attrs.softcap > 0 ? overTile(layout, (at) => `    ${s(at)} = ${cap(attrs, s(at))};\n`) : '';
  const weights = overTile(
    layout,
    (at) => `    ${s(at)} = select(0.0f, exp(${s(at)} - highest), ${inside(at)});\n` + `    total += ${s(at)};\n`,
  );
  const sums = overTile(layout, (at) => overGroups(layout, (c) => `      ${o(c)} += ${s(at)} * ${row('v', at, c)};\n`));
  return `  let keyHead = head * ${keyHeads}u / ${heads}u;
  let query = min(row, ${Q} - 1u);
  let queryBase = ((b * ${Q} + query) * ${heads}u + head) * ${size}u;
  let mine = visible(b, query);
${ownVectors}
  var top = ${bottom};
  var total = 0.0f;
${agree(layout)}
  for (var j0 = range.x; j0 < range.y; j0 += ${tile}u) {
${fill('k')}${barrier}${declareBases(layout, { start: 'j0', limit: K, base: keyBase })}${declareSlots(layout, 's')}
${scores}
${joinShares(layout, ['s'])}${capping}
${fill('v')}
    var highest = top;
${overTile(layout, (at) => `    if (${inside(at)}) { highest = largest(highest, ${s(at)}); }\n`)}
    let fade = exp(top - highest);
    top = highest;
    total *= fade;
${weights}
${barrier}
${overGroups(layout, (c) => `      ${o(c)} *= fade;\n`)}
${sums}
${barrier}  }
  // A query that sees nothing (padding) yields zero, not 0/0.
  // A NaN among the scores stays one, also where the driver's exponential swallows it.
  let factor = select(keepNan(top, top, 1.0f / total), 0.0f, mine.x >= mine.y);
  if (alive) {
${overGroups(layout, (c) => `    store_o(queryBase, ${wholeGroup(layout, c)}, ${o(c)} * factor);\n`)}
    if (part == 0u) {
      let at = (b * ${heads}u + head) * ${Q} + row;
      if (mine.x >= mine.y) { ${lse}[at] = -infinity(); } else { ${lse}[at] = top + log(total); }
    }
  }
`;
}
