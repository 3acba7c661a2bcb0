import { sizeOf } from '@lowrank/tensor/op';
import type { Spec } from '@lowrank/tensor/op';
import { defineKernel, operand } from '../kernel.js';
import type { KernelContext, KernelStep, Launch, Slice } from '../kernel.js';
import { Shader, grid, literal, mainHead, nonFinite } from '../shader.js';
import {
  agree,
  agreeDeclarations,
  attentionHead,
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
  capSlope,
  lengthsOf,
  sharesDeclaration,
  slot,
  visibility,
  wholeGroup,
} from './attention/layout.js';
import type { AttentionKernelAttrs, Layout } from './attention/layout.js';

type Step = KernelStep<AttentionKernelAttrs>;

/**
 * The gradient in three passes, none of which needs atomics: per query its log-sum-exp, δ = Σ g·o and visible keys side
 * by side; dq by walking keys; dk and dv by walking the queries of every head that reads the key.
 */
export const attentionBackward = defineKernel<AttentionKernelAttrs>({
  launches(step, context) {
    const specs = [...step.inputs.slice(0, 3), ...step.inputs.slice(6)];
    const layout = layoutOf(specs, step.attrs, context, 2);
    const { workspace } = step;
    if (workspace === undefined) throw new TypeError('attentionBackward lacks its workspace');
    return [
      prepare(step, layout, workspace, context),
      queryPass(step, layout, workspace, context),
      keyPass(step, layout, workspace, context),
    ];
  },
  workspace: ([q]: readonly Spec[]) => sizeOf(q?.shape.slice(0, 3) ?? []) * 16,
});

/**
 * Per query, in the log-sum-exp's order: log-sum-exp, δ and the keys it sees, [start, end) (exact as f32 up to 2²⁴).
 * One binding and no mask logic for the others.
 */
function prepare({ inputs, attrs }: Step, layout: Layout, workspace: Slice, context: KernelContext): Launch {
  const { batch, queries, heads, size } = layout;
  const shader = new Shader(context);
  const { Q } = lengthsOf(shader, layout);
  const o = shader.read('o', operand(inputs, 3, 'attentionBackward'));
  const lse = shader.read('lse', operand(inputs, 4, 'attentionBackward'));
  const g = shader.read('g', operand(inputs, 5, 'attentionBackward'));
  const seen = visibility(shader, layout, attrs, {
    segments: attrs.segments ? operand(inputs, 6, 'attentionBackward') : undefined,
    lengths: undefined,
  });
  const facts = shader.write('facts', workspace, 'vec4<f32>');
  const total = batch * heads * queries;
  const workgroups = grid(Math.ceil(total / 64));
  const body = `${seen}
${mainHead(64, workgroups)}
  if (index >= ${shader.size('total', total)}) { return; }
  let i = index % ${Q};
  let head = (index / ${Q}) % ${heads}u;
  let b = index / (${Q} * ${heads}u);
  let start = ((b * ${Q} + i) * ${heads}u + head) * ${size}u;
  var delta = 0.0f;
  for (var d = 0u; d < ${size}u; d++) { delta = fma(${g}[start + d], ${o}[start + d], delta); }
  ${facts}[index] = vec4<f32>(${lse}[index], delta, vec2<f32>(visible(b, i)));
}
`;
  return shader.launch({ label: 'attentionBackward facts', body, workgroups });
}

function bindings(shader: Shader, { inputs }: Step, layout: Layout, workspace: Slice): { code: string; facts: string } {
  const names = [
    ['q', 0],
    ['k', 1],
    ['v', 2],
    ['g', 5],
  ] as const;
  const code = names
    .map(([name, at]) => bindHeads(shader, name, operand(inputs, at, 'attentionBackward'), layout).code)
    .join('');
  return { code, facts: shader.read('facts', workspace, 'vec4<f32>') };
}

function capped({ attrs }: Step): string {
  return attrs.softcap > 0 ? `${nonFinite}${capDeclaration(attrs)}` : '';
}

function memoryOf(layout: Layout): string {
  if (!layout.shared) return '';
  const cells = layout.tile * layout.padded;
  return `var<workgroup> tile0: array<vec4<f32>, ${cells}>;\nvar<workgroup> tile1: array<vec4<f32>, ${cells}>;\n${sharesDeclaration(layout, 2 * layout.tile)}${agreeDeclarations(layout)}`;
}

/** dq = Σ over visible keys of ds·k. */
function queryPass(step: Step, layout: Layout, workspace: Slice, context: KernelContext): Launch {
  const { batch, queries, heads, keyHeads, size, shared, tile, padded } = layout;
  const shader = new Shader(context);
  const { Q, K } = lengthsOf(shader, layout);
  const { code, facts } = bindings(shader, step, layout, workspace);
  const stores = bindResult(shader, 'dq', operand(step.outputs, 0, 'attentionBackward'), layout).code;
  const keyBase = (j: string): string => `((b * ${K} + ${j}) * ${keyHeads}u + keyHead) * ${size}u`;
  const value = (which: 0 | 1, at: string, c: string): string =>
    shared
      ? `tile${which}[${at} * ${padded}u + ${wholeGroup(layout, c)}]`
      : `load_${which === 0 ? 'k' : 'v'}(${rowBase(at)}, ${c})`;
  const s = (at: string): string => slot(layout, 's', at);
  const t = (at: string): string => slot(layout, 't', at);
  const fill = (which: 0 | 1): string =>
    fillTile(layout, { tile: `tile${which}`, load: which === 0 ? 'k' : 'v', start: 'j0', limit: K, base: keyBase });
  const own = (name: string, c: string): string => groupOf(layout, name, c);
  const body = `${capped(step)}${code}${stores}${memoryOf(layout)}
${attentionHead(layout, Q)}
  let keyHead = head * ${keyHeads}u / ${heads}u;
  let query = min(row, ${Q} - 1u);
  let queryBase = ((b * ${Q} + query) * ${heads}u + head) * ${size}u;
  let fact = ${facts}[(b * ${heads}u + head) * ${Q} + query];
  let mine = vec2<u32>(fact.zw);
  let lse = fact.x;
  let delta = fact.y;
${declareVector(layout, 'q', (c) => `load_q(queryBase, ${wholeGroup(layout, c)}) * ${literal(step.attrs.scale)}`)}
${declareVector(layout, 'g', (c) => `load_g(queryBase, ${wholeGroup(layout, c)})`)}${declareVector(layout, 'd')}
${agree(layout)}
  for (var j0 = range.x; j0 < range.y; j0 += ${tile}u) {
${shared ? `${fill(0)}${fill(1)}    workgroupBarrier();\n` : declareBases(layout, { start: 'j0', limit: K, base: keyBase })}${declareSlots(layout, 's')}${declareSlots(layout, 't')}
${overTile(layout, (at) => overGroups(layout, (c) => `      ${s(at)} += dot(${own('q', c)}, ${value(0, at, c)});\n      ${t(at)} += dot(${own('g', c)}, ${value(1, at, c)});\n`))}
${joinShares(layout, ['s', 't'])}
${overTile(
  layout,
  (
    at,
  ) => `${step.attrs.softcap > 0 ? `    ${s(at)} = ${cap(step.attrs, s(at))};\n` : ''}    ${s(at)} = select(0.0f, exp(${s(at)} - lse) * (${t(at)} - delta) * ${literal(step.attrs.scale)}${capSlope(step.attrs, s(at))}, j0 + ${at} >= mine.x && j0 + ${at} < mine.y);
${overGroups(layout, (c) => `      ${own('d', c)} += ${s(at)} * ${value(0, at, c)};\n`)}`,
)}
${shared ? '    workgroupBarrier();\n' : ''}  }
  if (alive) {
${overGroups(layout, (c) => `    store_dq(queryBase, ${wholeGroup(layout, c)}, ${own('d', c)});\n`)}  }
}
`;
  return shader.launch({
    label: 'attentionBackward dq',
    body,
    workgroups: [Math.ceil(queries / layout.rows), heads, batch],
  });
}

/** dk = Σ ds·q and dv = Σ p·g over the queries that see the key, of all heads in its group. */
function keyPass(step: Step, layout: Layout, workspace: Slice, context: KernelContext): Launch {
  const { batch, keys, heads, keyHeads, size, shared, tile, padded } = layout;
  const { attrs } = step;
  const shader = new Shader(context);
  const { Q, K } = lengthsOf(shader, layout);
  const { code, facts } = bindings(shader, step, layout, workspace);
  const stores = ['dk', 'dv']
    .map((name, at) => bindResult(shader, name, operand(step.outputs, 1 + at, 'attentionBackward'), layout).code)
    .join('');
  const queryBase = (i: string): string => `((b * ${Q} + ${i}) * ${heads}u + queryHead) * ${size}u`;
  const value = (which: 0 | 1, at: string, c: string): string =>
    shared
      ? `tile${which}[${at} * ${padded}u + ${wholeGroup(layout, c)}]`
      : `load_${which === 0 ? 'q' : 'g'}(${rowBase(at)}, ${c})`;
  const s = (at: string): string => slot(layout, 's', at);
  const t = (at: string): string => slot(layout, 't', at);
  const fill = (which: 0 | 1): string =>
    fillTile(layout, { tile: `tile${which}`, load: which === 0 ? 'q' : 'g', start: 'i0', limit: Q, base: queryBase });
  const own = (name: string, c: string): string => groupOf(layout, name, c);
  const body = `${capped(step)}${code}${stores}${memoryOf(layout)}
${attentionHead(layout, K)}
  let key = min(row, ${K} - 1u);
  let keyBase = ((b * ${K} + key) * ${keyHeads}u + head) * ${size}u;
${watchers(shader, step, layout)}
${declareVector(layout, 'k', (c) => `load_k(keyBase, ${wholeGroup(layout, c)}) * ${literal(attrs.scale)}`)}
${declareVector(layout, 'v', (c) => `load_v(keyBase, ${wholeGroup(layout, c)})`)}${declareVector(layout, 'dk')}${declareVector(layout, 'dv')}
${agree(layout)}
  for (var member = 0u; member < ${heads / keyHeads}u; member++) {
  let queryHead = head * ${heads / keyHeads}u + member;
  for (var i0 = range.x; i0 < range.y; i0 += ${tile}u) {
${shared ? `${fill(0)}${fill(1)}    workgroupBarrier();\n` : declareBases(layout, { start: 'i0', limit: Q, base: queryBase })}${declareSlots(layout, 's')}${declareSlots(layout, 't')}
${overTile(layout, (at) => overGroups(layout, (c) => `      ${s(at)} += dot(${own('k', c)}, ${value(0, at, c)});\n      ${t(at)} += dot(${own('v', c)}, ${value(1, at, c)});\n`))}
${joinShares(layout, ['s', 't'])}
${overTile(
  layout,
  (at) => `    {
    let i = min(i0 + ${at}, ${Q} - 1u);
    let fact = ${facts}[(b * ${heads}u + queryHead) * ${Q} + i];
    let sees = i0 + ${at} < mine.y && i0 + ${at} >= mine.x && key >= u32(fact.z) && key < u32(fact.w);
    let score = ${cap(attrs, s(at))};
    let p = select(0.0f, exp(score - fact.x), sees);
    let ds = p * select(0.0f, (${t(at)} - fact.y) * ${literal(attrs.scale)}${capSlope(attrs, 'score')}, sees);
${overGroups(layout, (c) => `      ${own('dk', c)} += ds * ${value(0, at, c)};\n      ${own('dv', c)} += p * ${value(1, at, c)};\n`)}    }
`,
)}
${shared ? '    workgroupBarrier();\n' : ''}  }
  }
  if (alive) {
${overGroups(layout, (c) => `    store_dk(keyBase, ${wholeGroup(layout, c)}, ${own('dk', c)});\n    store_dv(keyBase, ${wholeGroup(layout, c)}, ${own('dv', c)});\n`)}  }
}
`;
  return shader.launch({
    label: 'attentionBackward dk dv',
    body,
    workgroups: [Math.ceil(keys / layout.rows), keyHeads, batch],
  });
}

/** WGSL of `mine`: queries that may see `key`; whether each does is among its facts. */
function watchers(shader: Shader, { attrs, inputs }: Step, layout: Layout): string {
  const { Q, K } = lengthsOf(shader, layout);
  const offset = `(i32(${K}) - i32(${Q}))`;
  let code = `  var begin = ${attrs.causal ? `max(i32(key) - ${offset}, 0)` : '0'};\n`;
  code += `  var finish = ${attrs.window > 0 ? `min(i32(key) - ${offset} + ${attrs.window}, i32(${Q}))` : `i32(${Q})`};\n`;
  if (attrs.segments) {
    // Documents are contiguous and see only themselves, so a key's own bounds hold its queries.
    const segments = shader.read('segments', operand(inputs, 6, 'attentionBackward'), 'i32');
    code += `  begin = max(begin, ${segments}[(b * ${K} + key) * 2u]);\n  finish = min(finish, ${segments}[(b * ${K} + key) * 2u + 1u]);\n`;
  }
  return `${code}  let mine = vec2<u32>(u32(max(begin, 0)), u32(max(finish, 0)));\n`;
}
