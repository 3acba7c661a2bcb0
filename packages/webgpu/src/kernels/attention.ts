import { defineKernel, operand } from '../kernel.js';
import { Shader, literal, nonFinite } from '../shader.js';
import {
  agree, agreeDeclarations, attentionHead, bindHeads, bindResult, declareVector, each, fillTile, groupOf, joinShares, layoutOf, overGroups, sharesDeclaration, visibility, wholeGroup,
} from './attention/layout.js';
import type { AttentionAttrs, Layout } from './attention/layout.js';

/**
 * Flash attention (Dao et al. 2022): each query walks the keys it sees in tiles with an online softmax; nothing of size Tq×Tk exists. Writes the output
 * and the log-sum-exp of each query.
 */
export const attention = defineKernel<AttentionAttrs>({
  launches({ inputs, outputs, attrs }, context) {
    const layout = layoutOf(inputs, attrs, context, 1);
    const shader = new Shader(context);
    const loads = ['q', 'k', 'v'].map((name, at) => bindHeads(shader, name, operand(inputs, at, 'attention'), layout).code).join('');
    const masks = { segments: attrs.segments ? operand(inputs, 3, 'attention') : undefined, lengths: attrs.lengths ? operand(inputs, attrs.segments ? 4 : 3, 'attention') : undefined };
    const seen = visibility(shader, layout, attrs, masks);
    const stores = bindResult(shader, 'o', operand(outputs, 0, 'attention'), layout).code;
    const lse = shader.write('lse', operand(outputs, 1, 'attention'));
    const { batch, queries, heads, tile, shared, padded } = layout;
    const memory = shared ? `var<workgroup> keyTile: array<vec4<f32>, ${tile * padded}>;\n${sharesDeclaration(layout, tile)}${agreeDeclarations(layout)}` : '';
    const body = `${nonFinite}${loads}${stores}${seen}${memory}
${attentionHead(layout, queries)}${forwardBody(layout, attrs, lse)}}
`;
    return [shader.launch({ label: `attention ${queries}x${layout.keys} heads of ${layout.size}`, body, workgroups: [Math.ceil(queries / layout.rows), heads, batch] })];
  },
});

/** Scores below this do not occur; it stands for "nothing seen yet" where an infinity would breed NaN. */
const bottom = '-3.0e38f';

function forwardBody(layout: Layout, attrs: AttentionAttrs, lse: string): string {
  const { queries, keys, heads, keyHeads, size, shared, tile, padded } = layout;
  const keyBase = (j: string): string => `((b * ${keys}u + ${j}) * ${keyHeads}u + keyHead) * ${size}u`;
  const row = (name: 'k' | 'v', jj: number, c: string): string =>
    shared ? `keyTile[${jj * padded}u + ${wholeGroup(layout, c)}]` : `load_${name}(base${jj}, ${c})`;
  const fill = (load: 'k' | 'v'): string => (shared ? fillTile(layout, { tile: 'keyTile', load, start: 'j0', limit: keys, base: keyBase }) : '');
  const barrier = shared ? '    workgroupBarrier();\n' : '';
  const q = (c: string): string => groupOf(layout, 'q', c);
  const o = (c: string): string => groupOf(layout, 'o', c);
  return `  let keyHead = head * ${keyHeads}u / ${heads}u;
  let query = min(row, ${queries - 1}u);
  let queryBase = ((b * ${queries}u + query) * ${heads}u + head) * ${size}u;
  let mine = visible(b, query);
${declareVector(layout, 'q', (c) => `load_q(queryBase, ${wholeGroup(layout, c)}) * ${literal(attrs.scale)}`)}${declareVector(layout, 'o')}
  var top = ${bottom};
  var total = 0.0f;
${agree(layout)}
  for (var j0 = range.x; j0 < range.y; j0 += ${tile}u) {
${fill('k')}${barrier}${shared ? '' : each(tile, (jj) => `    let base${jj} = ${keyBase(`min(j0 + ${jj}u, ${keys - 1}u)`)};\n`)}
${each(tile, (jj) => `    var s${jj} = 0.0f;\n`)}
${overGroups(layout, (c) => each(tile, (jj) => `      s${jj} += dot(${q(c)}, ${row('k', jj, c)});\n`))}
${joinShares(layout, Array.from({ length: tile }, (_, jj) => `s${jj}`))}
${fill('v')}
    var highest = top;
${each(tile, (jj) => `    let in${jj} = j0 + ${jj}u >= mine.x && j0 + ${jj}u < mine.y;\n    if (in${jj}) { highest = largest(highest, s${jj}All); }\n`)}
    let fade = exp(top - highest);
    top = highest;
${each(tile, (jj) => `    let p${jj} = select(0.0f, exp(s${jj}All - highest), in${jj});\n`)}
    total = total * fade${each(tile, (jj) => ` + p${jj}`)};
${barrier}
${overGroups(layout, (c) => `      ${o(c)} = ${o(c)} * fade${each(tile, (jj) => ` + p${jj} * ${row('v', jj, c)}`)};\n`)}
${barrier}  }
  // A query that sees nothing (padding) yields zero, not 0/0.
  // A NaN among the scores stays one, also where the driver's exponential swallows it.
  let factor = select(keepNan(top, top, 1.0f / total), 0.0f, mine.x >= mine.y);
  if (alive) {
${overGroups(layout, (c) => `    store_o(queryBase, ${wholeGroup(layout, c)}, ${o(c)} * factor);\n`)}
    if (part == 0u) {
      let at = (b * ${heads}u + head) * ${queries}u + row;
      if (mine.x >= mine.y) { ${lse}[at] = -infinity(); } else { ${lse}[at] = top + log(total); }
    }
  }
`;
}
