import type { KernelContext, KernelDispatch, Slice } from '../../kernel.js';
import { literal } from '../../shader.js';
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
import { declarations, overOneTile, tileGroup } from './tileWalk.js';
import type { BackwardStep, TileWalk } from './tileWalk.js';

/** dq = Σ over visible keys of ds·k. */
export function queryGradient(
  step: BackwardStep,
  layout: Layout,
  facts: Slice,
  context: KernelContext,
): KernelDispatch {
  const { batch, queries, heads, keyHeads, size } = layout;
  const { attrs } = step;
  const shader = attentionShader(layout, context);
  const { Q, K } = lengthsOf(shader, layout);
  const declared = declarations(shader, step, layout, { facts, results: [{ name: 'dq', output: 0 }] });
  const walk: TileWalk = {
    own: ['q', 'g'],
    tiles: ['k', 'v'],
    start: 'j0',
    limit: K,
    base: (key) => `((b * ${K} + ${key}) * ${keyHeads}u + keyHead) * ${size}u`,
  };
  const loadOwn = (name: string, factor = '') =>
    declareVector(layout, name, (c) => `load_${name}(queryBase, ${wholeGroup(layout, c)})${factor}`);
  const storeGroup = (c: string): string =>
    `    store_dq(queryBase, ${wholeGroup(layout, c)}, ${groupOf(layout, 'd', c)});\n`;
  const body = `${declared.code}
${attentionHead(layout, Q)}
  let keyHead = head * ${keyHeads}u / ${heads}u;
  let query = min(row, ${Q} - 1u);
  let queryBase = ((b * ${Q} + query) * ${heads}u + head) * ${size}u;
  let fact = ${declared.facts}[(b * ${heads}u + head) * ${Q} + query];
  let mine = vec2<u32>(fact.zw);
  let lse = fact.x;
  let delta = fact.y;
${loadOwn('q', ` * ${literal(attrs.scale)}`)}
${loadOwn('g')}${declareVector(layout, 'd')}
${agree(layout)}
  for (var j0 = range.x; j0 < range.y; j0 += ${layout.tile}u) {
${overOneTile(layout, walk, (at) => addKey(step, layout, walk, at))}  }
  if (alive) {
${overGroups(layout, storeGroup)}  }
}
`;
  return shader.launch({
    label: 'attentionBackward dq',
    body,
    workgroups: [Math.ceil(queries / layout.rows), heads, batch],
  });
}

/** WGSL that adds ds·k of one key: `s` becomes ds = p·(t − δ)·scale, zero where the query does not see the key. */
function addKey({ attrs }: BackwardStep, layout: Layout, walk: TileWalk, at: string): string {
  const [s, t] = [slot(layout, 's', at), slot(layout, 't', at)];
  const capping = attrs.softcap > 0 ? `    ${s} = ${cap(attrs, s)};\n` : '';
  const slope = `${literal(attrs.scale)}${capSlope(attrs, s)}`;
  const seen = `j0 + ${at} >= mine.x && j0 + ${at} < mine.y`;
  const add = overGroups(
    layout,
    (c) => `      ${groupOf(layout, 'd', c)} += ${s} * ${tileGroup(layout, walk, [0, at, c])};\n`,
  );
  return `${capping}    ${s} = select(0.0f, exp(${s} - lse) * (${t} - delta) * ${slope}, ${seen});\n${add}`;
}
