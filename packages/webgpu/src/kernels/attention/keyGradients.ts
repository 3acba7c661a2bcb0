import type { KernelContext, KernelDispatch, Slice } from '../../kernel.js';
import { literal } from '../../shader.js';
import type { Shader } from '../../shader.js';
import {
  agree,
  attentionHead,
  attentionShader,
  cap,
  capSlope,
  declareVector,
  groupOf,
  lengthsOf,
  overGroups,
  slot,
  wholeGroup,
} from './layout.js';
import type { Layout } from './layout.js';
import { declarations, operandOf, overOneTile, tileGroup } from './tileWalk.js';
import type { BackwardStep, TileWalk } from './tileWalk.js';

/** dk = Σ ds·q and dv = Σ p·g over the queries that see the key, of all heads in its group. */
export function keyGradients(step: BackwardStep, layout: Layout, facts: Slice, context: KernelContext): KernelDispatch {
  const { batch, keys, heads, keyHeads, size } = layout;
  const { attrs } = step;
  const shader = attentionShader(layout, context);
  const { Q, K } = lengthsOf(shader, layout);
  const results = [
    { name: 'dk', output: 1 },
    { name: 'dv', output: 2 },
  ];
  const declared = declarations(shader, step, layout, { facts, results });
  const walk: TileWalk = {
    own: ['k', 'v'],
    tiles: ['q', 'g'],
    start: 'i0',
    limit: Q,
    base: (query) => `((b * ${Q} + ${query}) * ${heads}u + queryHead) * ${size}u`,
  };
  const loadOwn = (name: string, factor = ''): string =>
    declareVector(layout, name, (c) => `load_${name}(keyBase, ${wholeGroup(layout, c)})${factor}`);
  const storeGroup = (c: string): string =>
    ['dk', 'dv']
      .map((name) => `    store_${name}(keyBase, ${wholeGroup(layout, c)}, ${groupOf(layout, name, c)});\n`)
      .join('');
  const use = (at: string): string =>
    addQuery(step, layout, walk, { at, Q, fact: `${declared.facts}[(b * ${heads}u + queryHead) * ${Q} + i]` });
  const body = `${declared.code}
${attentionHead(layout, K)}
  let key = min(row, ${K} - 1u);
  let keyBase = ((b * ${K} + key) * ${keyHeads}u + head) * ${size}u;
${queriesThatMaySee(shader, step, layout)}
${loadOwn('k', ` * ${literal(attrs.scale)}`)}
${loadOwn('v')}${declareVector(layout, 'dk')}${declareVector(layout, 'dv')}
${agree(layout)}
  for (var member = 0u; member < ${heads / keyHeads}u; member++) {
  let queryHead = head * ${heads / keyHeads}u + member;
  for (var i0 = range.x; i0 < range.y; i0 += ${layout.tile}u) {
${overOneTile(layout, walk, use)}  }
  }
  if (alive) {
${overGroups(layout, storeGroup)}  }
}
`;
  return shader.launch({
    label: 'attentionBackward dk dv',
    body,
    workgroups: [Math.ceil(keys / layout.rows), keyHeads, batch],
  });
}

/** WGSL that adds ds·q and p·g of one query, both zero where the query does not see the key. */
function addQuery(
  { attrs }: BackwardStep,
  layout: Layout,
  walk: TileWalk,
  { at, Q, fact }: { at: string; Q: string; fact: string },
): string {
  const [s, t] = [slot(layout, 's', at), slot(layout, 't', at)];
  const slope = `${literal(attrs.scale)}${capSlope(attrs, 'score')}`;
  const add = overGroups(
    layout,
    (c) =>
      `      ${groupOf(layout, 'dk', c)} += ds * ${tileGroup(layout, walk, [0, at, c])};\n` +
      `      ${groupOf(layout, 'dv', c)} += p * ${tileGroup(layout, walk, [1, at, c])};\n`,
  );
  return `    {
    let i = min(i0 + ${at}, ${Q} - 1u);
    let fact = ${fact};
    let sees = i0 + ${at} < mine.y && i0 + ${at} >= mine.x && key >= u32(fact.z) && key < u32(fact.w);
    let score = ${cap(attrs, s)};
    let p = select(0.0f, exp(score - fact.x), sees);
    let ds = p * select(0.0f, (${t} - fact.y) * ${slope}, sees);
${add}    }
`;
}

/** WGSL of `mine`: the range of queries that may see `key`; each query's own bounds then decide. */
export function queriesThatMaySee(shader: Shader, step: BackwardStep, layout: Layout): string {
  const { causal, window, segments } = step.attrs;
  const { Q, K } = lengthsOf(shader, layout);
  const offset = `(i32(${K}) - i32(${Q}))`;
  const reach = causal ? 1 : window;
  const begin = reach > 0 ? `max(i32(key) - ${offset} - ${reach - 1}, 0)` : '0';
  const finish = window > 0 ? `min(i32(key) - ${offset} + ${window}, i32(${Q}))` : `i32(${Q})`;
  let code = `  var begin = ${begin};\n  var finish = ${finish};\n`;
  if (segments) {
    // Documents are contiguous and see only themselves, so a key's own bounds hold its queries.
    const bounds = shader.read('segments', operandOf(step, 6), 'i32');
    code +=
      `  begin = max(begin, ${bounds}[(b * ${K} + key) * 2u]);\n` +
      `  finish = min(finish, ${bounds}[(b * ${K} + key) * 2u + 1u]);\n`;
  }
  return `${code}  let mine = vec2<u32>(u32(max(begin, 0)), u32(max(finish, 0)));\n`;
}
