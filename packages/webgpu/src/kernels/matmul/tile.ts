import type { KernelContext, KernelDispatch, Slice } from '../../kernel.js';
import { Shader } from '../../shader.js';
import { bindProduct } from './common.js';
import { bindParts } from './parts.js';
import type { Phase } from './phases.js';
import { storeFour, storeJoined } from './target.js';
import { tileElement } from '../../choices.js';
import type { ProductChoice } from '../../choices.js';
import type { Product } from './product.js';
import { loadRight, loadTile } from './tileLoad.js';
import type { Tile, TileLoad, Walk } from './tileLoad.js';

/**
 * A product through workgroup memory: wx×wy threads share a tile of each operand, stored k-major, and each thread holds
 * tm×tn accumulators. In mixed precision the tiles hold f16, which is half the memory and traffic; products and sums
 * are f32, since products of small numbers leave the range of f16. Scalar workgroup loads: vec4 ones measured slower
 * elsewhere.
 */
export function tileProduct(options: {
  label: string;
  product: Product;
  choice: ProductChoice;
  workspace: Slice | undefined;
  context: KernelContext;
}): KernelDispatch {
  const { product, choice } = options;
  const { m, n } = product;
  const { tm, tn, wx, wy, bk } = choice;
  const bm = tm * wy;
  const bn = tn * wx;
  // Two products side by side: each has half of a tile's columns, and a thread the same ones of both.
  const joined = product.epilogue?.form === 'swiglu';
  const columns = joined ? bn / 2 : bn;
  const bound = bindProduct(new Shader(options.context), product, choice, {
    workspace: options.workspace,
    table: 'workgroup',
  });
  const element = tileElement(options.context.profile);
  if (element === 'f16') bound.shader.enable('f16');
  // One column of padding keeps transposing writes off one memory bank.
  const kMajor = (width: number): Pick<Tile, 'element' | 'width' | 'cell'> => ({
    element,
    width,
    cell: (x, y) => `${y} * ${width + 1}u + ${x}`,
  });
  const tiles = {
    left: { name: 'tileA', start: 'rowBase', limit: 'M', ...kMajor(bm) },
    right: { name: 'tileB', start: 'colBase', limit: 'N', ...kMajor(bn) },
  };
  let body = `${bound.declarations}
var<workgroup> tileA: array<${element}, ${bk * (bm + 1)}>;
var<workgroup> tileB: array<${element}, ${bk * (bn + 1)}>;
@compute @workgroup_size(${wx * wy})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  ${bound.head}
${bound.fill}  let rowBase = wid.y * ${bm}u;
  let colBase = wid.x * ${columns}u;
  let ty = (lane / ${wx}u) * ${tm}u;
  let tx = (lane % ${wx}u) * 4u;
`;
  const groups = tn / 4;
  const parts = bindParts(bound.shader, product, bound.target, wx * wy);
  body += parts.before;
  for (let i = 0; i < tm; i++) for (let j = 0; j < groups; j++) body += `  var s${i}_${j} = vec4<f32>();\n`;
  for (const phase of bound.phases) body += phaseLoop(phase, choice, tiles);
  for (let i = 0; i < tm; i++) {
    const row = `(rowBase + ty + ${i}u)`;
    const stores = Array.from({ length: groups }, (_, j) =>
      storeFour(bound.target, { row, col: `(colBase + ${4 * wx * j}u + tx)`, value: `s${i}_${j}` }),
    );
    const both = { row, col: '(colBase + tx)', values: [`s${i}_0`, `s${i}_1`] } as const;
    const code = joined ? storeJoined(bound.target, both) : stores.join('\n    ');
    body += `  if (${row} < M) {\n    ${code}\n  }\n`;
  }
  body += parts.after;
  const workgroups = [Math.ceil(n / columns), Math.ceil(m / bm), product.batch * choice.splits] as const;
  return bound.shader.launch({
    label: `${options.label} tile ${bm}x${bn}${element === 'f16' ? ' f16' : ''}`,
    body: `${body}}\n`,
    workgroups,
  });
}

function phaseLoop(phase: Phase, choice: ProductChoice, { left, right }: { left: Tile; right: Tile }): string {
  const { tm, tn, wx, wy, bk } = choice;
  const walk = { bk, threads: wx * wy };
  let code = `  { let k0 = ${phase.from}; let k1 = ${phase.to};\n`;
  const loads = loadsOf(phase, right, walk);
  code += loads.map(({ before }) => before).join('');
  // The bound is the same for all threads of the workgroup, which the barriers need.
  code += `  for (var k = k0; k < k1; k += ${bk}u) {\n${loadTile(phase.left, left, walk)}`;
  code += loads.map(({ load }) => load).join('');
  code += `    workgroupBarrier();\n    for (var kk = 0u; kk < ${bk}u; kk++) {\n`;
  const read = ({ name, element, cell }: Tile, x: string): string =>
    element === 'f32' ? `${name}[${cell(x, 'kk')}]` : `f32(${name}[${cell(x, 'kk')}])`;
  const columns = Array.from({ length: tn / 4 }, (_, j) => j).filter((j) => j === (phase.half ?? j));
  for (const j of columns) {
    const four = [0, 1, 2, 3].map((lane) => read(right, `(${4 * wx * j + lane}u + tx)`)).join(', ');
    code += `      let b${j} = vec4<f32>(${four});\n`;
  }
  for (let i = 0; i < tm; i++) {
    code += `      let a${i} = vec4<f32>(${read(left, `(ty + ${i}u)`)});\n`;
    for (const j of columns) code += `      s${i}_${j} = fma(a${i}, b${j}, s${i}_${j});\n`;
  }
  return `${code}    }\n    workgroupBarrier();\n  }\n  }\n`;
}

/** The right operand's tile; of two products side by side its halves, or the one half that the phase is of. */
function loadsOf({ right, beside, half }: Phase, tile: Tile, walk: Walk): TileLoad[] {
  if (beside === undefined && half === undefined) return [loadRight(right, tile, walk)];
  const width = tile.width / 2;
  const halfOf = (at: number): Tile => ({
    ...tile,
    width,
    cell: (x, y) => tile.cell(at === 0 ? x : `(${width}u + ${x})`, y),
  });
  if (beside === undefined) return [loadRight(right, halfOf(half ?? 0), walk)];
  return [loadRight(right, halfOf(0), walk), loadRight(beside, halfOf(1), walk)];
}
