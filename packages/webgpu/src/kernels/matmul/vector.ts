import type { KernelContext, KernelDispatch } from '../../kernel.js';
import { Shader, grid } from '../../shader.js';
import { bindProduct } from './common.js';
import type { Phase, OutputTile } from './common.js';
import { codesOf, scalarAt, vectorAt } from './operands.js';
import type { Matrix } from './operands.js';
import type { Codes } from './codes.js';
import type { ProductChoice } from '../../choices.js';
import type { Product } from './product.js';

/**
 * A few rows (m ≤ tm) times a matrix stored [n, k], as in generation: `wx` threads share each output column, read its
 * weights once and in order, and add up through workgroup memory.
 */
export function vectorProduct(options: {
  label: string;
  product: Product;
  choice: ProductChoice;
  context: KernelContext;
}): KernelDispatch {
  const { product, choice } = options;
  const { m, n } = product;
  const { wx, wy } = choice;
  const bound = bindProduct(new Shader(options.context), product, choice, { workspace: undefined, table: 'workgroup' });
  const size = wx * wy;
  const [x, y] = grid(Math.ceil(n / wy));
  let body = `${bound.declarations}
var<workgroup> sums: array<f32, ${size * m}>;
@compute @workgroup_size(${size})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  ${bound.head}
${bound.fill}  let part0 = lane % ${wx}u;
  let col = (${y === 1 ? 'wid.x' : `wid.x + wid.y * ${x}u`}) * ${wy}u + lane / ${wx}u;
  let c0 = min(col, N - 1u);
`;
  for (let i = 0; i < m; i++) body += `  var s${i} = 0.0f;\n`;
  for (const phase of bound.phases) body += phaseLoop(phase, m, wx);
  for (let i = 0; i < m; i++) body += `  sums[lane * ${m}u + ${i}u] = s${i};\n`;
  body += `  workgroupBarrier();
  for (var width = ${wx / 2}u; width > 0u; width >>= 1u) {
    if (part0 < width) {
      for (var i = 0u; i < ${m}u; i++) { sums[lane * ${m}u + i] += sums[(lane + width) * ${m}u + i]; }
    }
    workgroupBarrier();
  }
  if (part0 == 0u && col < N) {
    for (var i = 0u; i < ${m}u; i++) {
      ${store(bound.target, m)}
    }
  }
}
`;
  return bound.shader.launch({ label: `${options.label} vector`, body, workgroups: [x, y, product.batch] });
}

function phaseLoop({ left, right, from, to, lengthName }: Phase, m: number, wx: number): string {
  const unit = left.vector && right.vector && right.alongInner ? 4 : 1;
  const codes = codesOf(right);
  // A word of codes is two vectors of weights.
  if (codes !== undefined && codes.unit === 8 && unit === 4)
    return codesLoop({ from, to, lengthName }, { codes, left }, m, wx);
  let code = `  { let k0 = ${from}; let k1 = ${to};\n`;
  code += `  for (var k = k0 + part0 * ${unit}u; k < k1; k += ${wx * unit}u) {\n`;
  const load = (matrix: Matrix, at: string): string => (unit === 4 ? vectorAt(matrix, at) : scalarAt(matrix, at));
  code += `    let w = ${load(right, right.alongInner ? `c0 * ${lengthName} + k` : `k * ${right.inner} + c0`)};\n`;
  for (let i = 0; i < m; i++) {
    const x = load(left, left.alongInner ? `${i}u * ${lengthName} + k` : `k * ${left.inner} + ${i}u`);
    code += unit === 4 ? `    s${i} += dot(${x}, w);\n` : `    s${i} = fma(${x}, w, s${i});\n`;
  }
  return `${code}  }\n  }\n`;
}

function codesLoop(
  { from, to, lengthName }: Pick<Phase, 'from' | 'to' | 'lengthName'>,
  { codes, left }: { codes: Codes; left: Matrix },
  m: number,
  wx: number,
): string {
  const at = `c0 * ${lengthName} + k`;
  let code = `  { let k0 = ${from}; let k1 = ${to};\n`;
  code += `  for (var k = k0 + part0 * 8u; k < k1; k += ${wx * 8}u) {\n`;
  code += `    let word = ${codes.word(at)}; let scale = ${codes.scale(codes.scaleIndex(at))};\n`;
  code += codes
    .fours('word', 'scale')
    .map((four, i) => `    let w${i} = ${four};\n`)
    .join('');
  for (let i = 0; i < m; i++) {
    const [x, y] = [0, 4].map((offset) => vectorAt(left, `${i}u * ${lengthName} + k + ${offset}u`));
    code += `    s${i} += dot(${x}, w0) + dot(${y}, w1);\n`;
  }
  return `${code}  }\n  }\n`;
}

function store(target: OutputTile, m: number): string {
  const place = (base: string): string => `${base === '' ? '' : `${base} + `}i * N + col`;
  const at = place(target.base);
  const { addend } = target;
  const cell = (name: string, index: string): string =>
    target.vector ? `${name}[(${index}) / 4u][(${index}) % 4u]` : `${name}[${index}]`;
  const from = addend?.kind === 'row' ? 'col' : place(addend?.base ?? '');
  const plus = addend === undefined ? '' : ` + ${cell(addend.name, from)}`;
  return `${cell(target.name, at)} = sums[lane * ${m}u + i]${target.times}${plus};`;
}
