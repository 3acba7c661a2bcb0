import type { KernelContext, KernelDispatch } from '../../kernel.js';
import { Shader, grid, literal } from '../../shader.js';
import { bindProduct } from './common.js';
import type { Phase } from './phases.js';
import type { OutputTile } from './target.js';
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
  const sums = sumsOf(bound.phases);
  const slots = m * sums.length;
  const slot = (sum: string, row: string): string => `${sums.indexOf(sum)}u * ${m}u + ${row}`;
  let body = `${bound.declarations}
var<workgroup> sums: array<f32, ${size * slots}>;
@compute @workgroup_size(${size})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  ${bound.head}
${bound.fill}  let part0 = lane % ${wx}u;
  let col = (${y === 1 ? 'wid.x' : `wid.x + wid.y * ${x}u`}) * ${wy}u + lane / ${wx}u;
  let c0 = min(col, N - 1u);
`;
  for (const sum of sums) for (let i = 0; i < m; i++) body += `  var ${sum}${i} = 0.0f;\n`;
  bound.phases.forEach((phase, at) => (body += phaseLoop(phase, at > 0 && sums.includes('l') ? 'l' : 's', m, wx)));
  for (const sum of sums)
    for (let i = 0; i < m; i++) body += `  sums[lane * ${slots}u + ${slot(sum, `${i}u`)}] = ${sum}${i};\n`;
  const total = (sum: string): string => `sums[lane * ${slots}u + ${slot(sum, 'i')}]`;
  body += `  workgroupBarrier();
  for (var width = ${wx / 2}u; width > 0u; width >>= 1u) {
    if (part0 < width) {
      for (var i = 0u; i < ${slots}u; i++) { sums[lane * ${slots}u + i] += sums[(lane + width) * ${slots}u + i]; }
    }
    workgroupBarrier();
  }
  if (part0 == 0u && col < N) {
    for (var i = 0u; i < ${m}u; i++) {
      ${store(bound.target, resultOf(bound.phases, total))}
    }
  }
}
`;
  return bound.shader.launch({ label: `${options.label} vector`, body, workgroups: [x, y, product.batch] });
}

/** What a thread adds up for each row: products; with a norm squares, and apart the low-rank part. */
function sumsOf([main, lowRank]: readonly Phase[]): readonly string[] {
  if (main?.made?.form !== 'rmsNorm') return ['s'];
  return lowRank === undefined ? ['s', 'q'] : ['s', 'q', 'l'];
}

/** WGSL of a result from its sums. */
function resultOf([main, lowRank]: readonly Phase[], total: (sum: string) => string): string {
  if (main?.made?.form !== 'rmsNorm') return total('s');
  const factor = `1.0f / sqrt(${total('q')} / f32(K) + ${literal(main.made.epsilon)})`;
  return `(${total('s')} * (${factor})${lowRank === undefined ? '' : ` + ${total('l')}`})`;
}

function phaseLoop(phase: Phase, sum: string, m: number, wx: number): string {
  const { left, made, right, from, to, lengthName } = phase;
  const aligned = left.vector && right.vector && right.alongInner && (made === undefined || made.beside.vector);
  const unit = aligned ? 4 : 1;
  const codes = codesOf(right);
  // A word of codes is two vectors of weights.
  if (codes !== undefined && codes.unit === 8 && unit === 4) return codesLoop(phase, { codes, sum }, m, wx);
  let code = `  { let k0 = ${from}; let k1 = ${to};\n`;
  code += `  for (var k = k0 + part0 * ${unit}u; k < k1; k += ${wx * unit}u) {\n`;
  const load = (matrix: Matrix, at: string): string => (unit === 4 ? vectorAt(matrix, at) : scalarAt(matrix, at));
  code += `    let w = ${load(right, right.alongInner ? `c0 * ${lengthName} + k` : `k * ${right.inner} + c0`)};\n`;
  for (let i = 0; i < m; i++) {
    const place = left.alongInner ? `${i}u * ${lengthName} + k` : `k * ${left.inner} + ${i}u`;
    const x = leftValue(phase, { name: `x${i}`, row: i, place, k: 'k', unit });
    code += x.code;
    code +=
      unit === 4 ? `    ${sum}${i} += dot(${x.value}, w);\n` : `    ${sum}${i} = fma(${x.value}, w, ${sum}${i});\n`;
  }
  return `${code}  }\n  }\n`;
}

function codesLoop(phase: Phase, { codes, sum }: { codes: Codes; sum: string }, m: number, wx: number): string {
  const { from, to, lengthName } = phase;
  const at = `c0 * ${lengthName} + k`;
  let code = `  { let k0 = ${from}; let k1 = ${to};\n`;
  code += `  for (var k = k0 + part0 * 8u; k < k1; k += ${wx * 8}u) {\n`;
  code += `    let word = ${codes.word(at)}; let scale = ${codes.scale(codes.scaleIndex(at))};\n`;
  code += codes
    .fours('word', 'scale')
    .map((four, i) => `    let w${i} = ${four};\n`)
    .join('');
  for (let i = 0; i < m; i++) {
    const [x, y] = [0, 4].map((offset) => {
      const place = `${i}u * ${lengthName} + k + ${offset}u`;
      return leftValue(phase, { name: `x${i}_${offset}`, row: i, place, k: `k + ${offset}u`, unit: 4 });
    });
    code += `${x?.code ?? ''}${y?.code ?? ''}    ${sum}${i} += dot(${x?.value}, w0) + dot(${y?.value}, w1);\n`;
  }
  return `${code}  }\n  }\n`;
}

/** One or four neighbours of the left operand, made of what is stored where it is made here; squares for a norm. */
function leftValue(
  { left, made }: Phase,
  at: { name: string; row: number; place: string; k: string; unit: 1 | 4 },
): { code: string; value: string } {
  const { name, row, place, k, unit } = at;
  const load = unit === 4 ? vectorAt : scalarAt;
  const stored = load(left, place);
  if (made === undefined) return { code: '', value: stored };
  const code = `    let ${name} = ${stored};\n`;
  if (made.form === 'swiglu') return { code, value: `${name} / (1.0f + exp(-${name})) * ${load(made.beside, place)}` };
  const squares = unit === 4 ? `dot(${name}, ${name})` : `${name} * ${name}`;
  return { code: `${code}    q${row} += ${squares};\n`, value: `${name} * ${load(made.beside, k)}` };
}

function store(target: OutputTile, result: string): string {
  const place = (base: string): string => `${base === '' ? '' : `${base} + `}i * N + col`;
  const at = place(target.base);
  const { addend } = target;
  const cell = (name: string, index: string): string =>
    target.vector ? `${name}[(${index}) / 4u][(${index}) % 4u]` : `${name}[${index}]`;
  const from = addend?.kind === 'row' ? 'col' : place(addend?.base ?? '');
  const plus = addend === undefined ? '' : ` + ${cell(addend.name, from)}`;
  return `${cell(target.out.name, at)} = ${result}${target.times}${plus};`;
}
