import { operand } from '../../kernel.js';
import type { KernelContext, KernelDispatch, KernelStep } from '../../kernel.js';
import { literal, nonFinite } from '../../shader.js';
import type { AttentionBlocks } from '../../choices.js';
import {
  agree,
  agreeDeclarations,
  bindHeads,
  bindResult,
  cap,
  capDeclaration,
  lengthsOf,
  visibility,
} from './layout.js';
import type { AttentionKernelAttrs, Layout } from './layout.js';
import {
  addWeighted,
  blockHead,
  blockMemory,
  blocksOf,
  declareSums,
  fillBlock,
  makeScores,
  matrixShader,
  paddedLayout,
  scaleRows,
  storeSums,
} from './matrixBlocks.js';
import type { Blocks } from './matrixBlocks.js';

/** Scores below this do not occur; it stands for "nothing seen yet" where an infinity would breed NaN. */
const bottom = '-3.0e38f';

/**
 * How far the highest score may grow before what was summed is put on a new scale, which takes every sum through
 * workgroup memory: weights are at most e⁸ then, which f16 holds with all its digits.
 */
const slack = '8.0f';

/**
 * Flash attention (Dao et al. 2022) on matrix units: q, keys and values go through workgroup memory as their operands,
 * scores and sums are f32. A value's block takes the place of its key's. The highest score of a row is followed with
 * some slack, so that few blocks scale what was summed before.
 */
export function matrixForward(
  { inputs, outputs, attrs }: KernelStep<AttentionKernelAttrs>,
  { layout, chosen, context }: { layout: Layout; chosen: AttentionBlocks; context: KernelContext },
): KernelDispatch {
  const blocks = blocksOf(chosen, context);
  const { batch, queries, heads, keyHeads, size } = layout;
  const { rows, threads, matrices } = blocks;
  const shader = matrixShader(context, blocks);
  const lay = paddedLayout(layout, blocks);
  const loads = (['q', 'k', 'v'] as const)
    .map((name, at) => bindHeads(shader, name, operand(inputs, at, 'attention'), lay).code)
    .join('');
  const seen = visibility(shader, layout, attrs, {
    segments: attrs.segments ? operand(inputs, 3, 'attention') : undefined,
    lengths: attrs.lengths ? operand(inputs, attrs.segments ? 4 : 3, 'attention') : undefined,
  });
  const stores = bindResult(shader, 'o', operand(outputs, 0, 'attention'), layout).code;
  const lse = shader.write('lse', operand(outputs, 1, 'attention'));
  const { Q, K } = lengthsOf(shader, layout);
  const memory = blockMemory(blocks, { rows: ['own'], columns: ['tile'], scores: ['scores'], weights: ['weights'] });
  const queryBase = (which: string): string => `((b * ${Q} + ${which}) * ${heads}u + head) * ${size}u`;
  const keyBase = (which: string): string => `((b * ${K} + ${which}) * ${keyHeads}u + keyHead) * ${size}u`;
  const own = { block: 'own', load: 'q', count: rows, start: `wid.x * ${rows}u`, limit: Q, base: queryBase };
  const fill = (load: 'k' | 'v'): string =>
    fillBlock(blocks, { block: 'tile', load, count: blocks.columns, start: 'j0', limit: K, base: keyBase });
  const body = `${nonFinite}${capDeclaration(attrs)}${loads}${stores}${seen}${memory}
var<workgroup> fades: array<f32, ${rows}>;
var<workgroup> shares: array<f32, ${threads}>;
var<workgroup> growing: atomic<u32>;
var<workgroup> grown: u32;
${agreeDeclarations({ shared: true })}
${blockHead(blocks, Q)}  let keyHead = head * ${keyHeads}u / ${heads}u;
  let query = min(row, ${Q} - 1u);
  let mine = visible(b, query);
${fillBlock(blocks, own)}${declareSums(blocks, 'o', blocks.padded)}  var top = ${bottom};
  var total = 0.0f;
${agree({ shared: true })}
  for (var j0 = range.x; j0 < range.y; j0 += ${blocks.columns}u) {
${fill('k')}    workgroupBarrier();
${makeScores(blocks, { rows: 'own', columns: 'tile', to: 'scores' })}    workgroupBarrier();
${fill('v')}${softmax(blocks, attrs)}    if (rescaled && j0 > range.x) {
${scaleRows(blocks, { sums: 'o', through: 'scores', by: (at) => `fades[${at}]` })}    }
${addWeighted(blocks, { weights: 'weights', columns: 'tile', to: 'o' })}    workgroupBarrier();
  }
${finish(blocks, layout, { lse, Q, queryBase })}}
`;
  return shader.launch({
    label: `attention ${queries}x${layout.keys} heads of ${size} matrix ${rows}x${blocks.columns} ${matrices.operand}`,
    body,
    workgroups: [Math.ceil(queries / rows), heads, batch],
  });
}

/** WGSL that turns a block of scores into weights, and follows the highest score and the sum of weights of each row. */
function softmax({ scorePitch, weightPitch, perRow, columns, matrices }: Blocks, attrs: AttentionKernelAttrs): string {
  const score = `scores[at * ${scorePitch}u + c]`;
  const inside = 'j0 + c >= mine.x && j0 + c < mine.y';
  const overColumns = `for (var c = part; c < ${columns}u; c += ${perRow}u)`;
  return `    var highest = top;
    if (lane == 0u) { atomicStore(&growing, 0u); }
    ${overColumns} {
      let score = ${cap(attrs, `${score} * ${literal(attrs.scale)}`)};
      ${score} = score;
      if (${inside}) { highest = largest(highest, score); }
    }
    shares[lane] = highest;
    workgroupBarrier();
    for (var other = 0u; other < ${perRow}u; other++) { highest = largest(highest, shares[lane - part + other]); }
    let grows = highest > top + ${slack} || isNan(highest);
    if (grows) { atomicStore(&growing, 1u); }
    let next = select(top, highest, grows);
    let fade = exp(top - next);
    top = next;
    total *= fade;
    ${overColumns} {
      let weight = select(0.0f, exp(${score} - top), ${inside});
      total += weight;
      weights[at * ${weightPitch}u + c] = ${matrices.operand}(weight);
    }
    if (part == 0u) { fades[at] = fade; }
    workgroupBarrier();
    if (lane == 0u) { grown = atomicLoad(&growing); }
    let rescaled = workgroupUniformLoad(&grown) != 0u;
`;
}

/** WGSL that divides the sums by the rows' totals and stores them. A query that sees nothing (padding) yields zero. */
function finish(
  blocks: Blocks,
  { heads, groups }: Layout,
  { lse, Q, queryBase }: { lse: string; Q: string; queryBase: (which: string) => string },
): string {
  return `  shares[lane] = total;
  workgroupBarrier();
  total = 0.0f;
  for (var other = 0u; other < ${blocks.perRow}u; other++) { total += shares[lane - part + other]; }
  // A NaN among the scores stays one, also where the driver's exponential swallows it.
  let nothing = mine.x >= mine.y;
  if (part == 0u) {
    fades[at] = select(keepNan(top, top, 1.0f / total), 0.0f, nothing);
    if (alive) { ${lse}[(b * ${heads}u + head) * ${Q} + row] = select(top + log(total), -infinity(), nothing); }
  }
  workgroupBarrier();
${storeSums(blocks, {
  sums: 'o',
  through: 'scores',
  store: (at, group, value) => `let i = wid.x * ${blocks.rows}u + ${at};
    let group = ${group};
    if (i < ${Q} && group < ${groups}u) { store_o(${queryBase('i')}, group, ${value} * fades[${at}]); }`,
})}`;
}
