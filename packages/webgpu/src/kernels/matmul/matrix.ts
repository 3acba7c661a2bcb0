import type { KernelContext, KernelDispatch, Slice } from '../../kernel.js';
import type { MatrixShape } from '../../matrixShape.js';
import { Shader } from '../../shader.js';
import type { ProductChoice } from '../../choices.js';
import { bindProduct } from './common.js';
import type { Bound } from './common.js';
import type { Phase } from './phases.js';
import { storeFour } from './target.js';
import type { Product } from './product.js';
import { loadRight, loadTile } from './tileLoad.js';
import type { Tile } from './tileLoad.js';

/**
 * A product on matrix units: wx×wy subgroups share a tile of each operand in workgroup memory, and each multiplies
 * subgroup matrices of it into tm×tn sums in f32. One generator for every size of matrices. Nothing is transposed: a
 * tile lies as its operand is stored, and is read by rows or by columns. Results leave through workgroup memory, where
 * the addend joins them and what lies outside is left out.
 */
export function matrixProduct(options: {
  label: string;
  product: Product;
  choice: ProductChoice;
  workspace: Slice | undefined;
  context: KernelContext;
}): KernelDispatch {
  const { product, choice, context } = options;
  const { matrices } = context.profile;
  if (matrices === undefined) throw new TypeError('subgroup matrices without their shape');
  const { tm, tn, wx, wy, bk } = choice;
  const [bm, bn] = [tm * wy, tn * wx];
  const shader = new Shader(context);
  shader.enable('subgroups');
  shader.enable('chromium_experimental_subgroup_matrix');
  if (matrices.operand === 'f16') shader.enable('f16');
  if (matrices.sized) shader.enable('subgroup_size_control');
  const bound = bindProduct(shader, product, choice, { workspace: options.workspace, table: 'workgroup' });
  const scene: Scene = { bound, choice, matrices, bm, bn };
  const cells = Math.max(...bound.phases.map(({ left }) => pitches(left.alongInner, bm, bk).cells));
  const cellsB = Math.max(...bound.phases.map(({ right }) => pitches(right.alongInner, bn, bk).cells));
  const results = wx * wy * matrices.m * matrices.n;
  const body = `${bound.declarations}
var<workgroup> tileA: array<${matrices.operand}, ${cells}>;
var<workgroup> tileB: array<${matrices.operand}, ${cellsB}>;
var<workgroup> results: array<f32, ${results}>;
@compute @workgroup_size(${wx * wy * matrices.lanes})${matrices.sized ? ` @subgroup_size(${matrices.lanes})` : ''}
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  ${bound.head}
${bound.fill}  let rowBase = wid.y * ${bm}u;
  let colBase = wid.x * ${bn}u;
  let subgroup = lane / ${matrices.lanes}u;
  let ty = (subgroup / ${wx}u) * ${tm}u;
  let tx = (subgroup % ${wx}u) * ${tn}u;
${places(scene)
  .map(([i, j]) => `  var s${i}_${j}: subgroup_matrix_result<f32, ${matrices.n}, ${matrices.m}>;\n`)
  .join('')}${bound.phases.map((phase) => phaseLoop(phase, scene)).join('')}${storeResults(scene)}}
`;
  const workgroups = [Math.ceil(product.n / bn), Math.ceil(product.m / bm), product.batch * choice.splits] as const;
  const label = `${options.label} matrix ${bm}x${bn} ${matrices.operand}`;
  return shader.launch({ label, body, workgroups });
}

interface Scene {
  readonly bound: Bound;
  readonly choice: ProductChoice;
  readonly matrices: MatrixShape;
  readonly bm: number;
  readonly bn: number;
}

/** The matrices of a subgroup's results, by rows and columns of them. */
function places({ choice: { tm, tn }, matrices: { m, n } }: Scene): [number, number][] {
  return Array.from({ length: tm / m }, (_, i) =>
    Array.from({ length: tn / n }, (_none, j): [number, number] => [i, j]),
  ).flat();
}

/** Elements from one row of a tile to the next, and of the whole tile. Eight more keep rows off the same banks. */
function pitches(alongInner: boolean, width: number, bk: number): { pitch: number; cells: number } {
  const pitch = (alongInner ? bk : width) + 8;
  return { pitch, cells: pitch * (alongInner ? width : bk) };
}

function tileOf(
  side: Pick<Tile, 'name' | 'start' | 'limit' | 'width'>,
  alongInner: boolean,
  { choice: { bk }, matrices: { operand } }: Scene,
): Tile & { readonly pitch: number } {
  const { pitch } = pitches(alongInner, side.width, bk);
  const cell = (x: string, y: string): string => (alongInner ? `${x} * ${pitch}u + ${y}` : `${y} * ${pitch}u + ${x}`);
  return { ...side, element: operand, cell, pitch };
}

function phaseLoop(phase: Phase, scene: Scene): string {
  const { choice, matrices, bm, bn } = scene;
  const { tm, tn, wx, wy, bk } = choice;
  const { m, n, k, operand } = matrices;
  const walk = { bk, threads: wx * wy * matrices.lanes };
  const left = tileOf({ name: 'tileA', start: 'rowBase', limit: 'M', width: bm }, phase.left.alongInner, scene);
  const right = tileOf({ name: 'tileB', start: 'colBase', limit: 'N', width: bn }, phase.right.alongInner, scene);
  const loader = loadRight(phase.right, right, walk);
  let code = `  { let k0 = ${phase.from}; let k1 = ${phase.to};\n${loader.before}`;
  // The bound is the same for all threads of the workgroup, which the barriers need.
  code += `  for (var k = k0; k < k1; k += ${bk}u) {\n${loadTile(phase.left, left, walk)}${loader.load}`;
  code += '    workgroupBarrier();\n';
  code += `    for (var kk = 0u; kk < ${bk}u; kk += ${k}u) {\n`;
  // By rows of the matrix where the contraction runs along them, on the left; on the right, the other way round.
  for (let i = 0; i < tm / m; i++) {
    const type = `subgroup_matrix_left<${operand}, ${k}, ${m}>`;
    const from = left.cell(`(ty + ${i * m}u)`, 'kk');
    code += `      let l${i} = ${load(type, phase.left.alongInner ? 'row' : 'col', left, from)};\n`;
  }
  for (let j = 0; j < tn / n; j++) {
    const type = `subgroup_matrix_right<${operand}, ${n}, ${k}>`;
    const from = right.cell(`(tx + ${j * n}u)`, 'kk');
    code += `      let r${j} = ${load(type, phase.right.alongInner ? 'col' : 'row', right, from)};\n`;
  }
  for (const [i, j] of places(scene))
    code += `      s${i}_${j} = subgroupMatrixMultiplyAccumulate(l${i}, r${j}, s${i}_${j});\n`;
  return `${code}    }\n    workgroupBarrier();\n  }\n  }\n`;
}

function load(
  type: string,
  order: 'row' | 'col',
  { name, pitch }: { name: string; pitch: number },
  from: string,
): string {
  return `subgroupMatrixLoad<${type}, ${order}_major>(&${name}, ${from}, ${pitch}u)`;
}

/** A matrix of each subgroup at a time, so that the results need little memory. */
function storeResults(scene: Scene): string {
  const { bound, matrices } = scene;
  const { m, n, lanes } = matrices;
  const groups = n / 4;
  return places(scene)
    .map(([i, j]) => {
      const cell = `subgroup * ${m * n}u`;
      const at = `${cell} + four * 4u`;
      const value = `vec4<f32>(${[0, 1, 2, 3].map((lane) => `results[${at} + ${lane}u]`).join(', ')})`;
      const row = `(rowBase + ty + ${i * m}u + four / ${groups}u)`;
      const col = `(colBase + tx + ${j * n}u + (four % ${groups}u) * 4u)`;
      return `  subgroupMatrixStore<row_major>(&results, ${cell}, s${i}_${j}, ${n}u);
  workgroupBarrier();
  for (var four = lane % ${lanes}u; four < ${m * groups}u; four += ${lanes}u) {
    if (${row} < M) {
    ${storeFour(bound.target, { row, col, value })}
    }
  }
  workgroupBarrier();
`;
    })
    .join('');
}
