import type { KernelContext, KernelDispatch, Slice } from '../../kernel.js';
import { Shader } from '../../shader.js';
import { bindProduct, storeFour } from './common.js';
import type { Phase } from './common.js';
import { codesOf, scalarAt, vectorAt } from './operands.js';
import type { Codes } from './codes.js';
import type { Matrix } from './operands.js';
import type { ProductChoice } from '../../choices.js';
import type { Product } from './product.js';

/**
 * A product through workgroup memory: wx×wy threads share a tile of each operand, stored k-major, and each thread holds
 * tm×tn accumulators. Scalar workgroup loads: vec4 ones measured slower elsewhere.
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
  const bound = bindProduct(new Shader(options.context), product, choice, {
    workspace: options.workspace,
    table: 'workgroup',
  });
  // One column of padding keeps transposing writes off one memory bank.
  let body = `${bound.declarations}
var<workgroup> tileA: array<f32, ${bk * (bm + 1)}>;
var<workgroup> tileB: array<f32, ${bk * (bn + 1)}>;
@compute @workgroup_size(${wx * wy})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  ${bound.head}
${bound.fill}  let rowBase = wid.y * ${bm}u;
  let colBase = wid.x * ${bn}u;
  let ty = (lane / ${wx}u) * ${tm}u;
  let tx = (lane % ${wx}u) * 4u;
`;
  const groups = tn / 4;
  for (let i = 0; i < tm; i++) for (let j = 0; j < groups; j++) body += `  var s${i}_${j} = vec4<f32>();\n`;
  for (const phase of bound.phases) body += phaseLoop(phase, choice);
  for (let i = 0; i < tm; i++) {
    const row = `(rowBase + ty + ${i}u)`;
    const stores = Array.from({ length: groups }, (_, j) =>
      storeFour(bound.target, { row, col: `(colBase + ${4 * wx * j}u + tx)`, value: `s${i}_${j}` }),
    );
    body += `  if (${row} < M) {\n    ${stores.join('\n    ')}\n  }\n`;
  }
  const workgroups = [Math.ceil(n / bn), Math.ceil(m / bm), product.batch * choice.splits] as const;
  return bound.shader.launch({ label: `${options.label} tile ${bm}x${bn}`, body: `${body}}\n`, workgroups });
}

function phaseLoop(phase: Phase, choice: ProductChoice): string {
  const { tm, tn, wx, wy, bk } = choice;
  const bm = tm * wy;
  const bn = tn * wx;
  let code = `  { let k0 = ${phase.from}; let k1 = ${phase.to};\n`;
  const codes = codesOf(phase.right);
  const loader =
    codes === undefined || codes.unit === 1 ? undefined : loadCodes({ codes, matrix: phase.right, width: bn, choice });
  code += loader?.before ?? '';
  // The bound is the same for all threads of the workgroup, which the barriers need.
  code += `  for (var k = k0; k < k1; k += ${bk}u) {\n`;
  code += loadTile({ matrix: phase.left, tile: 'tileA', width: bm, start: 'rowBase', limit: 'M', choice });
  code +=
    loader?.load ?? loadTile({ matrix: phase.right, tile: 'tileB', width: bn, start: 'colBase', limit: 'N', choice });
  code += `    workgroupBarrier();\n    for (var kk = 0u; kk < ${bk}u; kk++) {\n`;
  for (let j = 0; j < tn / 4; j++) {
    const from = `kk * ${bn + 1}u + ${4 * wx * j}u + tx`;
    const four = ['', ' + 1u', ' + 2u', ' + 3u'].map((next) => `tileB[${from}${next}]`).join(', ');
    code += `      let b${j} = vec4<f32>(${four});\n`;
  }
  for (let i = 0; i < tm; i++) {
    code += `      let a${i} = vec4<f32>(tileA[kk * ${bm + 1}u + ty + ${i}u]);\n`;
    for (let j = 0; j < tn / 4; j++) code += `      s${i}_${j} = fma(a${i}, b${j}, s${i}_${j});\n`;
  }
  return `${code}    }\n    workgroupBarrier();\n  }\n  }\n`;
}

/** Cooperative load of a bk × width tile, zero outside the matrix, transposed into k-major order where needed. */
function loadTile(options: {
  matrix: Matrix;
  tile: string;
  width: number;
  start: string;
  limit: string;
  choice: ProductChoice;
}): string {
  const { matrix, tile, width, start, limit, choice } = options;
  const { bk, wx, wy } = choice;
  const threads = wx * wy;
  const unit = matrix.vector ? 4 : 1;
  const total = (bk * width) / unit;
  const along = matrix.alongInner ? bk / unit : width / unit;
  let code = `    for (var v = lane; v < ${total}u; v += ${threads}u) {
      let inner = (v % ${along}u) * ${unit}u; let outer = v / ${along}u;
`;
  code += matrix.alongInner
    ? `      let x = ${start} + outer; let y = k + inner; let inside = x < ${limit} && y < k1;\n`
    : `      let x = ${start} + inner; let y = k + outer; let inside = x < ${limit} && y < k1;\n`;
  const at = matrix.alongInner ? `x * ${matrix.inner} + y` : `y * ${matrix.inner} + x`;
  if (unit === 1) {
    code += `      var w = 0.0f;\n      if (inside) { w = ${scalarAt(matrix, at)}; }\n`;
    code += matrix.alongInner
      ? `      ${tile}[inner * ${width + 1}u + outer] = w;\n`
      : `      ${tile}[outer * ${width + 1}u + inner] = w;\n`;
    return `${code}    }\n`;
  }
  code += `      var w = vec4<f32>();\n      if (inside) { w = ${vectorAt(matrix, at)}; }\n`;
  for (let lane = 0; lane < 4; lane++) {
    const cell = matrix.alongInner
      ? `(inner + ${lane}u) * ${width + 1}u + outer`
      : `outer * ${width + 1}u + inner + ${lane}u`;
    code += `      ${tile}[${cell}] = w[${lane}];\n`;
  }
  return `${code}    }\n`;
}

/**
 * The same for codes into `tileB`: a word per thread and turn, rows of the matrix side by side where the contraction
 * runs along them. There a thread comes back to the same row at every step of k, and holds its scale until the block
 * ends; otherwise each word's scale is fetched with it, the same one by neighbouring threads.
 */
function loadCodes({
  codes,
  matrix,
  width,
  choice,
}: {
  codes: Codes;
  matrix: Matrix;
  width: number;
  choice: ProductChoice;
}): {
  before: string;
  load: string;
} {
  const { bk, wx, wy } = choice;
  const threads = wx * wy;
  const { unit } = codes;
  const total = (bk * width) / unit;
  let [before, load] = ['', ''];
  for (let turn = 0; turn < Math.ceil(total / threads); turn++) {
    const cell = (i: number): string =>
      matrix.alongInner
        ? `tileB[(inner + ${i}u) * ${width + 1}u + outer]`
        : `tileB[outer * ${width + 1}u + inner + ${i}u]`;
    const guard = (turn + 1) * threads > total ? `if (lane < ${total - turn * threads}u) ` : '';
    load += `    ${guard}{\n      let v = lane + ${turn * threads}u;\n`;
    load += matrix.alongInner
      ? `      let outer = v % ${width}u; let inner = (v / ${width}u) * ${unit}u;
      let x = colBase + outer; let y = k + inner; let at = x * ${matrix.inner} + y;
`
      : `      let inner = (v % ${width / unit}u) * ${unit}u; let outer = v / ${width / unit}u;
      let x = colBase + inner; let y = k + outer; let at = y * ${matrix.inner} + x;
`;
    load += '      let inside = x < N && y < k1;\n';
    let scale = 'scale';
    if (matrix.alongInner) {
      before += `  var block${turn} = 0xffffffffu; var scale${turn}: ${codes.scaleType};\n`;
      const [block, index] = [`block${turn}`, codes.scaleIndex('at')];
      scale = `scale${turn}`;
      load += `      if (inside && ${block} != ${index}) { ${block} = ${index}; ${scale} = ${codes.scale(block)}; }\n`;
    }
    const values = codes.fours('word', scale);
    for (let i = 0; i < values.length; i++) load += `      var w${i} = vec4<f32>();\n`;
    const fetch = matrix.alongInner ? '' : `let scale = ${codes.scale(codes.scaleIndex('at'))}; `;
    const decoded = values.map((value, i) => `w${i} = ${value};`).join(' ');
    load += `      if (inside) { let word = ${codes.word('at')}; ${fetch}${decoded} }\n`;
    for (let i = 0; i < unit; i++) load += `      ${cell(i)} = w${Math.floor(i / 4)}[${i % 4}];\n`;
    load += '    }\n';
  }
  return { before, load };
}
