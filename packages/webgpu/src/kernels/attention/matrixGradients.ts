import { operand } from '../../kernel.js';
import type { KernelContext, KernelDispatch, Slice } from '../../kernel.js';
import { literal, nonFinite } from '../../shader.js';
import type { AttentionBlocks } from '../../choices.js';
import { queriesThatMaySee } from './keyGradients.js';
import { agree, agreeDeclarations, bindHeads, bindResult, cap, capDeclaration, capSlope, lengthsOf } from './layout.js';
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
  storeSums,
} from './matrixBlocks.js';
import type { Blocks } from './matrixBlocks.js';
import { operandOf } from './tileWalk.js';
import type { BackwardStep } from './tileWalk.js';

/** What a gradient's pass on matrix units is given. */
export interface GradientScene {
  readonly layout: Layout;
  readonly chosen: AttentionBlocks;
  /** Of each query: log-sum-exp, δ, and the keys that it sees. */
  readonly facts: Slice;
  readonly context: KernelContext;
}

/**
 * dq = scale·Σ ds·k over the keys that a query sees, on matrix units: a block of queries meets the keys block by block.
 * Scores and the weights' gradients are f32, ds becomes an operand; the scale waits for the sums, so that small
 * gradients stay in the range of f16.
 */
export function matrixQueryGradient(step: BackwardStep, scene: GradientScene): KernelDispatch {
  const { layout, chosen, context } = scene;
  const blocks = blocksOf(chosen, context);
  const { batch, queries, heads, keyHeads, size, groups } = layout;
  const { rows, columns } = blocks;
  const pass = bindPass(step, scene, blocks, [{ name: 'dq', output: 0 }]);
  const { Q, K } = pass;
  const queryBase = (which: string): string => `((b * ${Q} + ${which}) * ${heads}u + head) * ${size}u`;
  const keyBase = (which: string): string => `((b * ${K} + ${which}) * ${keyHeads}u + keyHead) * ${size}u`;
  const own = { count: rows, start: `wid.x * ${rows}u`, limit: Q, base: queryBase };
  const met = { count: columns, start: 'j0', limit: K, base: keyBase };
  const body = `${pass.code}
${blockHead(blocks, Q)}  let keyHead = head * ${keyHeads}u / ${heads}u;
  let query = min(row, ${Q} - 1u);
  let fact = ${pass.facts}[(b * ${heads}u + head) * ${Q} + query];
  let mine = vec2<u32>(fact.zw);
${fillBlock(blocks, { block: 'rows0', load: 'q', ...own })}${fillBlock(blocks, { block: 'rows1', load: 'g', ...own })}
${declareSums(blocks, 'd', blocks.padded)}${agree({ shared: true })}
  for (var j0 = range.x; j0 < range.y; j0 += ${columns}u) {
${fillBlock(blocks, { block: 'tile0', load: 'k', ...met })}${fillBlock(blocks, { block: 'tile1', load: 'v', ...met })}
    workgroupBarrier();
${bothScores(blocks)}    workgroupBarrier();
${eachScore(blocks, step.attrs, 'let sees = j0 + c >= mine.x && j0 + c < mine.y;')}    workgroupBarrier();
${addWeighted(blocks, { weights: 'slopes', columns: 'tile0', to: 'd' })}    workgroupBarrier();
  }
${storeSums(blocks, {
  sums: 'd',
  through: 'scores',
  store: (at, group, value) => `let i = wid.x * ${rows}u + ${at};
    let group = ${group};
    let value = ${value} * ${literal(step.attrs.scale)};
    if (i < ${Q} && group < ${groups}u) { store_dq(${queryBase('i')}, group, value); }`,
})}}
`;
  const workgroups = [Math.ceil(queries / rows), heads, batch] as const;
  return pass.shader.launch({ label: `attentionBackward dq ${labelOf(blocks, layout)}`, body, workgroups });
}

/** dk = scale·Σ ds·q and dv = Σ p·g over the queries that see a key, of all heads in its group; likewise. */
export function matrixKeyGradients(step: BackwardStep, scene: GradientScene): KernelDispatch {
  const { layout, chosen, context } = scene;
  const blocks = blocksOf(chosen, context);
  const { batch, keys, heads, keyHeads, size, groups } = layout;
  const { rows, columns, threads } = blocks;
  const pass = bindPass(step, scene, blocks, [
    { name: 'dk', output: 1 },
    { name: 'dv', output: 2 },
  ]);
  const { Q, K } = pass;
  const keyBase = (which: string): string => `((b * ${K} + ${which}) * ${keyHeads}u + head) * ${size}u`;
  const queryBase = (which: string): string => `((b * ${Q} + ${which}) * ${heads}u + queryHead) * ${size}u`;
  const own = { count: rows, start: `wid.x * ${rows}u`, limit: K, base: keyBase };
  const met = { count: columns, start: 'i0', limit: Q, base: queryBase };
  const sees = `let fact = seen[c];
      let sees = i0 + c >= mine.x && i0 + c < mine.y && key >= u32(fact.z) && key < u32(fact.w);`;
  const store = (name: 'dk' | 'dv', times: string): string =>
    storeSums(blocks, {
      sums: name,
      through: 'scores',
      store: (at, group, value) => `let j = wid.x * ${rows}u + ${at};
    let group = ${group};
    if (j < ${K} && group < ${groups}u) { store_${name}(${keyBase('j')}, group, ${value}${times}); }`,
    });
  const body = `${pass.code}
var<workgroup> seen: array<vec4<f32>, ${columns}>;
${blockHead(blocks, K)}  let key = min(row, ${K} - 1u);
${queriesThatMaySee(pass.shader, step, layout)}
${fillBlock(blocks, { block: 'rows0', load: 'k', ...own })}${fillBlock(blocks, { block: 'rows1', load: 'v', ...own })}
${declareSums(blocks, 'dk', blocks.padded)}${declareSums(blocks, 'dv', blocks.padded)}${agree({ shared: true })}
  for (var member = 0u; member < ${heads / keyHeads}u; member++) {
  let queryHead = head * ${heads / keyHeads}u + member;
  for (var i0 = range.x; i0 < range.y; i0 += ${columns}u) {
${fillBlock(blocks, { block: 'tile0', load: 'q', ...met })}${fillBlock(blocks, { block: 'tile1', load: 'g', ...met })}
    for (var c = lane; c < ${columns}u; c += ${threads}u) {
      seen[c] = ${pass.facts}[(b * ${heads}u + queryHead) * ${Q} + min(i0 + c, ${Q} - 1u)];
    }
    workgroupBarrier();
${bothScores(blocks)}    workgroupBarrier();
${eachScore(blocks, step.attrs, sees, 'weights')}    workgroupBarrier();
${addWeighted(blocks, { weights: 'slopes', columns: 'tile0', to: 'dk' })}
${addWeighted(blocks, { weights: 'weights', columns: 'tile1', to: 'dv' })}    workgroupBarrier();
  }
  }
${store('dk', ` * ${literal(step.attrs.scale)}`)}${store('dv', '')}}
`;
  const workgroups = [Math.ceil(keys / rows), keyHeads, batch] as const;
  return pass.shader.launch({ label: `attentionBackward dk dv ${labelOf(blocks, layout)}`, body, workgroups });
}

function labelOf({ rows, columns, matrices: { operand: element } }: Blocks, { size }: Layout): string {
  return `heads of ${size} matrix ${rows}x${columns} ${element}`;
}

/** What both passes read and hold: q, k, v and g; two blocks of their own rows, two of those that they meet. */
function bindPass(
  step: BackwardStep,
  { layout, facts, context }: GradientScene,
  blocks: Blocks,
  results: readonly { readonly name: string; readonly output: number }[],
) {
  const shader = matrixShader(context, blocks);
  const lay = paddedLayout(layout, blocks);
  const operands = [
    ['q', 0],
    ['k', 1],
    ['v', 2],
    ['g', 5],
  ] as const;
  const loads = operands.map(([name, at]) => bindHeads(shader, name, operandOf(step, at), lay).code);
  const bound = shader.read('facts', facts, 'vec4<f32>');
  const stores = results.map(
    ({ name, output }) => bindResult(shader, name, operand(step.outputs, output, 'attentionBackward'), layout).code,
  );
  const memory = blockMemory(blocks, {
    rows: ['rows0', 'rows1'],
    columns: ['tile0', 'tile1'],
    scores: ['scores', 'gradients'],
    weights: results.length === 2 ? ['slopes', 'weights'] : ['slopes'],
  });
  const capping = step.attrs.softcap > 0 ? `${nonFinite}${capDeclaration(step.attrs)}` : '';
  const code = `${capping}${loads.join('')}${stores.join('')}${memory}${agreeDeclarations({ shared: true })}`;
  return { shader, facts: bound, code, ...lengthsOf(shader, layout) };
}

/** WGSL of both products of the rows with those that they meet: scores, and gradients of the weights. */
function bothScores(blocks: Blocks): string {
  return (
    makeScores(blocks, { rows: 'rows0', columns: 'tile0', to: 'scores' }) +
    makeScores(blocks, { rows: 'rows1', columns: 'tile1', to: 'gradients' })
  );
}

/**
 * WGSL that makes ds/scale = p·(t − δ) of each score, zero where the query does not see the key, and p where it has a
 * name. `sees` declares that, from the column `c`; `fact` holds log-sum-exp and δ.
 */
function eachScore(
  { columns, perRow, scorePitch, weightPitch, matrices }: Blocks,
  attrs: AttentionKernelAttrs,
  sees: string,
  weights?: string,
): string {
  const cell = `at * ${weightPitch}u + c`;
  const keep = weights === undefined ? '' : `      ${weights}[${cell}] = ${matrices.operand}(weight);\n`;
  return `    for (var c = part; c < ${columns}u; c += ${perRow}u) {
      ${sees}
      let score = ${cap(attrs, `scores[at * ${scorePitch}u + c] * ${literal(attrs.scale)}`)};
      let weight = select(0.0f, exp(score - fact.x), sees);
      let slope = (gradients[at * ${scorePitch}u + c] - fact.y)${capSlope(attrs, 'score')};
      slopes[${cell}] = ${matrices.operand}(select(0.0f, weight * slope, sees));
${keep}    }
`;
}
