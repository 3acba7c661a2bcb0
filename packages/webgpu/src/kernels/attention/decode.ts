import type { Operand } from '@lowrank/tensor/backend';
import type { KernelDispatch } from '../../kernel.js';
import { literal, nonFinite } from '../../shader.js';
import type { Shader } from '../../shader.js';
import { bindHeads, bindResult, cap, capDeclaration, lengthsOf, threads, visibility } from './layout.js';
import type { AttentionKernelAttrs, Layout } from './layout.js';

/** Scores below this do not occur; it stands for "nothing seen yet" where an infinity would breed NaN. */
const bottom = '-3.0e38f';

/** What the passes of a single query's attention read and write. */
export interface DecodeOperands {
  readonly q: Operand;
  readonly k: Operand;
  readonly v: Operand;
  readonly segments: Operand | undefined;
  readonly lengths: Operand | undefined;
  readonly o: Operand;
  readonly lse: Operand;
  /** Sums of each part; undefined where there is one. */
  readonly workspace: Operand | undefined;
}

/** Bytes of the parts' sums: for each, the highest score, the sum of weights, and a head vector. */
export function decodeWorkspace({ batch, heads, groups }: Layout, parts: number): number {
  return parts === 1 ? 0 : 16 * batch * heads * parts * (groups + 1);
}

/**
 * Attention of one query per row, as in generation: the keys in parts, a workgroup each (Dao et al. 2023,
 * flash-decoding). Of a part's keys 64 at a time have their scores made, a thread each; then the threads hold the
 * output's groups of four numbers and share the keys. A second dispatch joins the parts.
 */
export function decodeAttention(
  make: () => Shader,
  operands: DecodeOperands,
  { layout, attrs, parts }: { layout: Layout; attrs: AttentionKernelAttrs; parts: number },
): KernelDispatch[] {
  const { batch, heads, keys, size } = layout;
  const label = `attention 1x${keys} heads of ${size}${operands.k.dtype === 'f16' ? ' f16' : ''}`;
  const shader = make();
  const target = bindTarget(shader, operands, { layout, parts });
  const body = walk(shader, operands, { layout, attrs, parts, target });
  const main = shader.launch({ label: `${label} by keys`, body, workgroups: [parts, heads, batch] });
  return parts === 1 ? [main] : [main, joinParts(make(), operands, { layout, parts, label })];
}

interface Target {
  readonly code: string;
  /** WGSL that writes a thread's group of the result; `group`, `value`, `top` and `total` are in scope. */
  readonly store: string;
}

function bindTarget(shader: Shader, operands: DecodeOperands, options: { layout: Layout; parts: number }): Target {
  const { layout, parts } = options;
  const { heads, size, groups } = layout;
  if (operands.workspace !== undefined && parts > 1) {
    const partial = shader.write('partial', operands.workspace, 'vec4<f32>');
    return {
      code: '',
      store: `let at = ((b * ${heads}u + head) * ${parts}u + wid.x) * ${groups + 1}u;
      ${partial}[at + 1u + group] = value;
      if (group == 0u) { ${partial}[at] = vec4<f32>(top, total, 0.0f, 0.0f); }`,
    };
  }
  const { code } = bindResult(shader, 'o', operands.o, layout);
  const lse = shader.write('lse', operands.lse);
  return { code, store: finish(lse, { heads, size }) };
}

/** A query that sees nothing yields zero, not 0/0; a NaN among the scores stays one. */
function finish(lse: string, { heads, size }: { heads: number; size: number }): string {
  return `let factor = select(keepNan(top, top, 1.0f / total), 0.0f, total == 0.0f);
      store_o((b * ${heads}u + head) * ${size}u, group, value * factor);
      if (group == 0u) {
        if (total == 0.0f) { ${lse}[b * ${heads}u + head] = -infinity(); }
        else { ${lse}[b * ${heads}u + head] = top + log(total); }
      }`;
}

function walk(
  shader: Shader,
  { q, k, v, segments, lengths }: DecodeOperands,
  { layout, attrs, parts, target }: { layout: Layout; attrs: AttentionKernelAttrs; parts: number; target: Target },
): string {
  const { heads, keyHeads, size, groups } = layout;
  const loads = [q, k, v].map((slice, at) => bindHeads(shader, 'qkv'[at] ?? '', slice, layout).code).join('');
  const seen = visibility(shader, layout, attrs, { segments, lengths });
  const { K } = lengthsOf(shader, layout);
  const across = 2 ** Math.ceil(Math.log2(groups));
  const row = (key: string): string => `((b * ${K} + ${key}) * ${keyHeads}u + keyHead) * ${size}u`;
  return `${nonFinite}${capDeclaration(attrs)}${loads}${target.code}${seen}
var<workgroup> query: array<vec4<f32>, ${groups}>;
var<workgroup> scores: array<f32, ${threads}>;
var<workgroup> sums: array<vec4<f32>, ${threads}>;
var<workgroup> agreed: vec2<u32>;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let head = wid.y;
  let b = wid.z;
  let keyHead = head * ${keyHeads}u / ${heads}u;
  if (lane == 0u) {
    let mine = visible(b, 0u);
    let span = (mine.y - mine.x + ${parts - 1}u) / ${parts}u;
    let start = min(mine.y, mine.x + wid.x * span);
    agreed = vec2<u32>(start, min(mine.y, start + span));
  }
  for (var c = lane; c < ${groups}u; c += ${threads}u) {
    query[c] = load_q((b * ${heads}u + head) * ${size}u, c) * ${literal(attrs.scale)};
  }
  let range = workgroupUniformLoad(&agreed);
  let group = lane % ${across}u;
  var value = vec4<f32>();
  var top = ${bottom};
  var total = 0.0f;
  for (var j0 = range.x; j0 < range.y; j0 += ${threads}u) {
    let count = min(${threads}u, range.y - j0);
    if (lane < count) {
      let base = ${row('(j0 + lane)')};
      var score = 0.0f;
      for (var c = 0u; c < ${groups}u; c++) { score += dot(query[c], load_k(base, c)); }
      scores[lane] = ${cap(attrs, 'score')};
    }
    workgroupBarrier();
    var highest = top;
    for (var at = 0u; at < count; at++) { highest = largest(highest, scores[at]); }
    workgroupBarrier();
    if (lane < count) { scores[lane] = exp(scores[lane] - highest); }
    workgroupBarrier();
    let fade = exp(top - highest);
    top = highest;
    total *= fade;
    value *= fade;
    for (var at = 0u; at < count; at++) { total += scores[at]; }
    if (group < ${groups}u) {
      for (var at = lane / ${across}u; at < count; at += ${threads / across}u) {
        value += scores[at] * load_v(${row('(j0 + at)')}, group);
      }
    }
    workgroupBarrier();
  }
  sums[lane] = value;
  workgroupBarrier();
  if (lane < ${groups}u) {
    for (var other = lane + ${across}u; other < ${threads}u; other += ${across}u) { value += sums[other]; }
    {
      ${target.store}
    }
  }
}
`;
}

/** Puts the parts' sums on the scale of the highest score of all. */
function joinParts(
  shader: Shader,
  operands: DecodeOperands,
  { layout, parts, label }: { layout: Layout; parts: number; label: string },
): KernelDispatch {
  const { batch, heads, size, groups } = layout;
  if (operands.workspace === undefined) throw new TypeError('attention in parts without workspace');
  const partial = shader.read('partial', operands.workspace, 'vec4<f32>');
  const { code } = bindResult(shader, 'o', operands.o, layout);
  const lse = shader.write('lse', operands.lse);
  const body = `${nonFinite}${code}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let head = wid.x;
  let b = wid.y;
  let start = (b * ${heads}u + head) * ${parts * (groups + 1)}u;
  for (var group = lane; group < ${groups}u; group += ${threads}u) {
    var top = ${bottom};
    for (var part = 0u; part < ${parts}u; part++) { top = largest(top, ${partial}[start + part * ${groups + 1}u].x); }
    var total = 0.0f;
    var value = vec4<f32>();
    for (var part = 0u; part < ${parts}u; part++) {
      let at = start + part * ${groups + 1}u;
      let fade = exp(${partial}[at].x - top);
      total += ${partial}[at].y * fade;
      value += ${partial}[at + 1u + group] * fade;
    }
    {
      ${finish(lse, { heads, size })}
    }
  }
}
`;
  return shader.launch({ label: `${label}, ${parts} parts joined`, body, workgroups: [heads, batch, 1] });
}
