import { attentionSizes } from '@lowrank/tensor/op';
import type { AttrsOf, Operand } from '@lowrank/tensor/backend';
import type { Spec } from '@lowrank/tensor/op';
import { attentionForm } from '../../choices.js';
import type { AttentionPass, ChoiceContext } from '../../choices.js';
import { bindFours, cellsOf } from '../../fours.js';
import type { TypedSlice } from '../../fours.js';
import type { KernelContext, Slice } from '../../kernel.js';
import { literal, Shader } from '../../shader.js';

export type AttentionKernelAttrs = AttrsOf<'attention'>;

/**
 * How attention is laid over threads. `share` threads hold one query's (or key's) head vector between them, every
 * share-th group of four numbers each; `rows` queries (keys) fill a workgroup of 64. Real GPUs pass tiles of `tile`
 * keys (queries) through workgroup memory; a software adapter reads them straight from storage, one thread per row.
 */
export interface Layout {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly size: number;
  /** Groups of four numbers in a head vector; of a thread; and with padding of all threads that share it. */
  readonly groups: number;
  readonly own: number;
  readonly padded: number;
  readonly shared: boolean;
  readonly shuffled: boolean;
  readonly share: number;
  readonly rows: number;
  readonly tile: number;
}

export const threads = 64;

/** The layout for q, k, v of these shapes, for one pass. */
export function layoutOf(
  specs: readonly Spec[],
  attrs: AttentionKernelAttrs,
  { profile }: ChoiceContext,
  pass: AttentionPass,
): Layout {
  const sizes = attentionSizes(specs, attrs);
  const groups = Math.ceil(sizes.size / 4);
  const { share, tile, shared, shuffled } = attentionForm(groups, pass, profile);
  const own = Math.ceil(groups / share);
  return {
    ...sizes,
    groups,
    own,
    padded: own * share,
    shared,
    shuffled,
    share,
    rows: threads / share,
    tile,
  };
}

/** A shader for this layout, with the features that it takes. */
export function attentionShader(layout: Layout, context: KernelContext): Shader {
  const shader = new Shader(context);
  if (layout.shuffled) shader.enable('subgroups');
  return shader;
}

/**
 * Binds a tensor of head vectors, in f32 or f16, and declares `load_name(base, group)`: four numbers, zero beyond the
 * head.
 */
export function bindHeads(
  shader: Shader,
  name: string,
  slice: Operand,
  layout: Pick<Layout, 'size' | 'groups' | 'padded'>,
): { code: string } {
  if (layout.size % 4 === 0) {
    const fours = bindFours(shader, name, slice, 'read');
    const guard = layout.padded > layout.groups ? `  if (group >= ${layout.groups}u) { return vec4<f32>(); }\n` : '';
    const code = `fn load_${name}(base: u32, group: u32) -> vec4<f32> {
${guard}  return ${fours.read('base / 4u + group')};
}
`;
    return { code };
  }
  const half = slice.dtype === 'f16';
  const bound = shader.read(name, slice, half ? 'u32' : 'f32');
  const element = (at: string): string =>
    half ? `unpack2x16float(${bound}[(${at}) / 2u])[(${at}) % 2u]` : `${bound}[${at}]`;
  const lanes = [0, 1, 2, 3].map(
    (lane) =>
      `  if (group * 4u + ${lane}u < ${layout.size}u) { value[${lane}] = ${element(`base + group * 4u + ${lane}u`)}; }`,
  );
  const code = `fn load_${name}(base: u32, group: u32) -> vec4<f32> {
  var value = vec4<f32>();
${lanes.join('\n')}
  return value;
}
`;
  return { code };
}

/** The same for a result: `store_name(base, group, value)`. */
export function bindResult(shader: Shader, name: string, slice: TypedSlice, layout: Layout): { code: string } {
  const vector = layout.size % 4 === 0;
  const bound = cellsOf(shader, vector).write(name, slice);
  const stores = vector
    ? [`  if (group < ${layout.groups}u) { ${bound.write('base / 4u + group', 'value')} }`]
    : [0, 1, 2, 3].map((lane) => {
        const write = bound.write(`base + group * 4u + ${lane}u`, `value[${lane}]`);
        return `  if (group * 4u + ${lane}u < ${layout.size}u) { ${write} }`;
      });
  return { code: `fn store_${name}(base: u32, group: u32, value: vec4<f32>) {\n${stores.join('\n')}\n}\n` };
}

/** The numbers of queries and keys as expressions: lengths share pipelines. */
export function lengthsOf(shader: Shader, { queries, keys }: Layout): { Q: string; K: string } {
  return { Q: shader.size('queries', queries), K: shader.size('keys', keys) };
}

/**
 * `visible(b, i)`: the keys [x, y) that query i of row b sees. Masks are the operands after q, k, v that `attrs` names.
 */
export function visibility(
  shader: Shader,
  layout: Layout,
  attrs: AttentionKernelAttrs,
  masks: { segments: Slice | undefined; lengths: Slice | undefined },
): string {
  const { Q, K } = lengthsOf(shader, layout);
  const segments = masks.segments === undefined ? undefined : shader.read('segments', masks.segments, 'i32');
  const lengths = masks.lengths === undefined ? undefined : shader.read('lengths', masks.lengths, 'i32');
  const reach = attrs.causal ? 1 : attrs.window;
  return `
fn visible(b: u32, i: u32) -> vec2<u32> {
  let offset = ${lengths === undefined ? `i32(${K}) - i32(${Q})` : `${lengths}[b]`};
  let position = offset + i32(i);
  var start = ${segments === undefined ? '0' : `max(${segments}[(b * ${K} + i) * 2u], 0)`};
  var end = ${segments === undefined ? `i32(${K})` : `min(${segments}[(b * ${K} + i) * 2u + 1u], i32(${K}))`};
  ${lengths === undefined ? '' : `end = min(end, offset + i32(${Q}));`}
  ${attrs.window > 0 ? `start = max(start, position - ${attrs.window - 1});` : ''}
  ${reach > 0 ? `end = min(end, position + ${reach});` : ''}
  return vec2<u32>(u32(start), u32(max(end, start)));
}
`;
}

/**
 * WGSL of a scaled score as the softmax sees it: bent toward the soft cap where there is one. Needs `capDeclaration`,
 * and that `nonFinite`.
 */
export function cap({ softcap }: AttentionKernelAttrs, score: string): string {
  return softcap > 0 ? `capped(${score})` : score;
}

/** WGSL of the factor that the cap puts on a score's gradient, with ` * ` before it; empty where there is none. */
export function capSlope({ softcap }: AttentionKernelAttrs, capped: string): string {
  return softcap > 0 ? ` * capSlope(${capped})` : '';
}

// Implementations may compute tanh from exponentials that overflow; beyond ±15 it is ±1 in f32.
export function capDeclaration({ softcap }: AttentionKernelAttrs): string {
  if (softcap === 0) return '';
  const [bound, inverse] = [literal(softcap), literal(1 / softcap)];
  return `
fn capped(score: f32) -> f32 {
  return keepNan(score, score, ${bound} * tanh(clamp(score * ${inverse}, -15.0f, 15.0f)));
}
fn capSlope(score: f32) -> f32 { let bent = score * ${inverse}; return 1.0f - bent * bent; }
`;
}

/**
 * Head of a workgroup over rows × heads × batch: defines lane, part (which share of the vector), row, head, b, and
 * `alive`.
 */
export function attentionHead(layout: Layout, count: string): string {
  return `@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let part = lane % ${layout.share}u;
  let row = wid.x * ${layout.rows}u + lane / ${layout.share}u;
  let head = wid.y;
  let b = wid.z;
  let alive = row < ${count};
  ${layout.shared ? '' : 'if (!alive) { return; }'}
`;
}

/**
 * WGSL declarations for agreeing on one range [x, y) that covers every thread's, so that loops with barriers are
 * uniform.
 */
export function agreeDeclarations(layout: Pick<Layout, 'shared'>): string {
  if (!layout.shared) return '';
  return `
var<workgroup> lowest: atomic<u32>;
var<workgroup> highest: atomic<u32>;
var<workgroup> agreed: vec2<u32>;
`;
}

/** WGSL that turns a thread's `mine` (vec2) into `range`, the same for all threads of the workgroup. */
export function agree(layout: Pick<Layout, 'shared'>): string {
  if (!layout.shared) return '  let range = mine;\n';
  return `  if (lane == 0u) { atomicStore(&lowest, 0xffffffffu); atomicStore(&highest, 0u); }
  workgroupBarrier();
  if (alive && mine.x < mine.y) { atomicMin(&lowest, mine.x); atomicMax(&highest, mine.y); }
  workgroupBarrier();
  if (lane == 0u) { agreed = vec2<u32>(atomicLoad(&lowest), atomicLoad(&highest)); }
  let range = workgroupUniformLoad(&agreed);
`;
}

/**
 * WGSL that copies `tile` rows of head vectors to workgroup memory, zero where the row does not exist. `base` gives a
 * row's first element.
 */
export function fillTile(
  layout: Layout,
  options: { tile: string; load: string; start: string; limit: string; base: (row: string) => string },
): string {
  const { padded, tile } = layout;
  return `    for (var cell = lane; cell < ${tile * padded}u; cell += ${threads}u) {
      let which = ${options.start} + cell / ${padded}u;
      var value = vec4<f32>();
      if (which < ${options.limit}) { value = load_${options.load}(${options.base('which')}, cell % ${padded}u); }
      ${options.tile}[cell] = value;
    }
`;
}

/**
 * WGSL that runs `body` for each row of a tile; `at` is the row's index as an expression. With workgroup memory this is
 * a loop, which GPU compilers unroll and which keeps the shader small; without, it is written out, since software
 * adapters index arrays slowly.
 */
export function overTile(layout: Layout, body: (at: string) => string): string {
  if (layout.shared) return `    for (var at = 0u; at < ${layout.tile}u; at++) {\n${body('at')}    }\n`;
  return each(layout.tile, (at) => body(`${at}u`));
}

/**
 * WGSL that declares one number per row of a tile, zero: by stores, since SwiftShader zeroes an array declared in a
 * loop only the first time round.
 */
export function declareSlots(layout: Layout, name: string): string {
  const { shared, tile } = layout;
  if (shared)
    return `    var ${name}: array<f32, ${tile}>;
    for (var at = 0u; at < ${tile}u; at++) { ${name}[at] = 0.0f; }
`;
  return each(layout.tile, (at) => `    var ${name}${at} = 0.0f;\n`);
}

/** The number of row `at`. */
export function slot(layout: Layout, name: string, at: string): string {
  return layout.shared ? `${name}[${at}]` : `${name}${at.replace('u', '')}`;
}

/** The first element of row `at`'s head vector, where rows are read straight from storage: see `declareBases`. */
export function rowBase(at: string): string {
  return `base${at.replace('u', '')}`;
}

/** WGSL that finds the rows of a tile in storage, clamped to the last one. */
export function declareBases(
  layout: Layout,
  options: { start: string; limit: string; base: (row: string) => string },
): string {
  if (layout.shared) return '';
  return each(
    layout.tile,
    (at) => `    let base${at} = ${options.base(`min(${options.start} + ${at}u, ${options.limit} - 1u)`)};\n`,
  );
}

/**
 * WGSL that makes the partial dot products in each named slot whole, over the threads that share a vector. All threads
 * pass a barrier.
 */
export function joinShares(layout: Layout, names: readonly string[]): string {
  if (!layout.shared) return '';
  if (layout.share === 1) return '    workgroupBarrier();\n';
  if (layout.shuffled) return `${shuffleShares(layout, names)}    workgroupBarrier();\n`;
  const place = (which: number): string => `(${which * layout.tile}u + at) * ${threads}u`;
  const put = overTile(layout, (at) =>
    names.map((name, which) => `      shares[${place(which)} + lane] = ${slot(layout, name, at)};\n`).join(''),
  );
  const take = overTile(layout, (at) =>
    names
      .map((name, which) => {
        const cells = Array.from(
          { length: layout.share },
          (_, other) => `shares[${place(which)} + lane - part + ${other}u]`,
        );
        return `      ${slot(layout, name, at)} = ${cells.join(' + ')};\n`;
      })
      .join(''),
  );
  return `${put}    workgroupBarrier();\n${take}`;
}

// Every exchange adds two equal sums, so that all threads of a vector get the same bits.
function shuffleShares(layout: Layout, names: readonly string[]): string {
  const exchange = (sum: string): string =>
    each(Math.log2(layout.share), (at) => `      ${sum} += subgroupShuffleXor(${sum}, ${2 ** at}u);\n`);
  return overTile(layout, (at) => names.map((name) => exchange(slot(layout, name, at))).join(''));
}

export function sharesDeclaration(layout: Layout, names: number): string {
  return layout.share === 1 || layout.shuffled ? '' : `var<workgroup> shares: array<f32, ${threads * names}>;\n`;
}

/**
 * A thread's share of head vectors: named variables while they are few, which compilers keep in registers; beyond that
 * an array and loops, since a software adapter takes many seconds to compile the unrolled form of a head of 256.
 */
const looped = ({ own }: Layout): boolean => own > 8;

/** WGSL that runs `body` for each group of four that the thread holds; `c` is the group's index as an expression. */
export function overGroups(layout: Layout, body: (c: string) => string): string {
  if (looped(layout)) return `    for (var c = 0u; c < ${layout.own}u; c++) {\n${body('c')}    }\n`;
  return each(layout.own, (c) => body(`${c}u`));
}

/** WGSL that declares a head vector, zero or from `initial`. */
export function declareVector(layout: Layout, name: string, initial?: (c: string) => string): string {
  if (!looped(layout))
    return each(
      layout.own,
      (c) => `  var ${name}${c} = ${initial === undefined ? 'vec4<f32>()' : initial(`${c}u`)};\n`,
    );
  const fill =
    initial === undefined ? '' : `  for (var c = 0u; c < ${layout.own}u; c++) { ${name}[c] = ${initial('c')}; }\n`;
  return `  var ${name}: array<vec4<f32>, ${layout.own}>;\n${fill}`;
}

/** The group `c` of a declared head vector. */
export function groupOf(layout: Layout, name: string, c: string): string {
  return looped(layout) ? `${name}[${c}]` : `${name}${c.replace('u', '')}`;
}

/** The place of the thread's group `c` in the whole head vector. */
export function wholeGroup(layout: Layout, c: string): string {
  return layout.share === 1 ? c : `${c} * ${layout.share}u + part`;
}

/** `count` lines of WGSL from a template. */
export function each(count: number, line: (at: number) => string): string {
  return Array.from({ length: count }, (_, at) => line(at)).join('');
}
