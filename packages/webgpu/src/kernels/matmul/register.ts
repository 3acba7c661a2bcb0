import type { KernelContext, KernelDispatch, Slice } from '../../kernel.js';
import { Shader } from '../../shader.js';
import { bindProduct, storeFour } from './common.js';
import type { Phase } from './common.js';
import type { Codes } from './codes.js';
import { codesOf, lanes, scalarAt, vectorAt } from './operands.js';
import type { Matrix } from './operands.js';
import type { ProductChoice } from '../../choices.js';
import type { Product } from './product.js';

/**
 * A product without workgroup memory: each thread holds tm rows × tn columns of accumulators and loads both operands
 * straight from storage, four values at a time. Software adapters run it several times faster than a tiled kernel,
 * since barriers cost them most.
 */
export function registerProduct(options: {
  label: string;
  product: Product;
  choice: ProductChoice;
  workspace: Slice | undefined;
  context: KernelContext;
}): KernelDispatch {
  const { product, choice } = options;
  const { m, n } = product;
  const { tm, tn, wx, wy } = choice;
  const bound = bindProduct(new Shader(options.context), product, choice, {
    workspace: options.workspace,
    table: 'private',
  });
  const groups = tn / 4;
  let body = `${bound.declarations}
@compute @workgroup_size(${wx}, ${wy}, 1)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  ${bound.head}
  let row0 = (wid.y * ${wy}u + lid.y) * ${tm}u;
  let col0 = (wid.x * ${wx}u + lid.x) * ${tn}u;
  if (row0 >= M || col0 >= N) { return; }
`;
  for (let i = 0; i < tm; i++) body += `  let r${i} = min(row0 + ${i}u, M - 1u);\n`;
  for (let j = 0; j < tn; j++) body += `  let c${j} = min(col0 + ${j}u, N - 1u);\n`;
  for (let i = 0; i < tm; i++) for (let j = 0; j < groups; j++) body += `  var s${i}_${j} = vec4<f32>();\n`;
  for (const phase of bound.phases) body += phaseLoop(phase, choice);
  for (let i = 0; i < tm; i++) {
    const stores = Array.from({ length: groups }, (_, j) =>
      storeFour(bound.target, { row: `(row0 + ${i}u)`, col: `(col0 + ${4 * j}u)`, value: `s${i}_${j}` }),
    );
    body += `  if (row0 + ${i}u < M) {\n    ${stores.join('\n    ')}\n  }\n`;
  }
  const workgroups = [Math.ceil(n / (tn * wx)), Math.ceil(m / (tm * wy)), product.batch * choice.splits] as const;
  return bound.shader.launch({ label: `${options.label} register ${tm}x${tn}`, body: `${body}}\n`, workgroups });
}

function phaseLoop(phase: Phase, choice: ProductChoice): string {
  const codes = codesOf(phase.right);
  const declare = `  { let k0 = ${phase.from}; let k1 = ${phase.to};\n`;
  if (codes !== undefined && codes.unit !== 1 && phase.right.alongInner)
    return `${declare}${codesLoop(phase, choice, codes)}  }\n`;
  const whole = `(${phase.lengthName} & 0xfffffffcu)`;
  const main = `  for (var k = k0; k < min(k1, ${whole}); k += 4u) {\n${step(phase, choice, 4)}  }\n`;
  const tail =
    phase.length % 4 === 0 ? '' : `  for (var k = max(k0, ${whole}); k < k1; k++) {\n${step(phase, choice, 1)}  }\n`;
  return `${declare}${main}${tail}  }\n`;
}

/** Along rows of codes: a word of each column at a time, the columns' scales fetched once per span. */
function codesLoop(phase: Phase, choice: ProductChoice, codes: Codes): string {
  const { tn } = choice;
  const { unit, span } = codes;
  const at = (column: number): string => `c${column} * ${phase.right.inner} + k`;
  let scales = '';
  for (let j = 0; j < tn; j++) scales += `    let t${j} = ${codes.scale(codes.scaleIndex(at(j)))};\n`;
  // Parts of a split K may begin within a span.
  const inner = `for (; k < end; k += ${unit}u) {\n${step(phase, choice, unit === 8 ? 8 : 4)}  }`;
  return `  for (var k = k0; k < k1;) {
    let end = min(k1, (k / ${span}u + 1u) * ${span}u);
${scales}  ${inner}
  }
`;
}

/** The outer products of `steps` values of k. */
function step(phase: Phase, { tm, tn }: ProductChoice, steps: Steps): string {
  const left = loadSide({ matrix: phase.left, prefix: 'p', index: 'r', start: 'row0', count: tm, limit: 'M', steps });
  const right = loadSide({ matrix: phase.right, prefix: 'q', index: 'c', start: 'col0', count: tn, limit: 'N', steps });
  let code = left.code + right.code;
  for (let kk = 0; kk < steps; kk++) {
    for (let j = 0; j < tn / 4; j++) {
      const four = [0, 1, 2, 3].map((lane) => right.at(4 * j + lane, kk)).join(', ');
      code += `    let b${kk}_${j} = vec4<f32>(${four});\n`;
    }
    for (let i = 0; i < tm; i++) {
      for (let j = 0; j < tn / 4; j++)
        code += `    s${i}_${j} = fma(vec4<f32>(${left.at(i, kk)}), b${kk}_${j}, s${i}_${j});\n`;
    }
  }
  return code;
}

/** 8 are a word of codes. */
type Steps = 1 | 4 | 8;

interface Side {
  readonly code: string;
  /** WGSL of the value at row (or column) i and step kk. */
  at(i: number, kk: number): string;
}

function loadSide(options: {
  matrix: Matrix;
  prefix: string;
  index: string;
  start: string;
  count: number;
  limit: string;
  steps: Steps;
}): Side {
  const { matrix, prefix, index, start, count, limit, steps } = options;
  const one = (outer: string, inner: string): string => scalarAt(matrix, `${outer} * ${matrix.inner} + ${inner}`);
  let code = '';
  const codes = codesOf(matrix);
  if (matrix.alongInner) {
    for (let i = 0; i < count; i++) {
      const row = `${index}${i}`;
      if (codes !== undefined && codes.unit !== 1 && steps !== 1) {
        code += `    let word${i} = ${codes.word(`${row} * ${matrix.inner} + k`)};\n`;
        code += codes
          .fours(`word${i}`, `t${i}`)
          .map((four, part) => `    let ${prefix}${i}_${part} = ${four};\n`)
          .join('');
      } else if (steps === 1) code += `    let ${prefix}${i}_0 = vec4<f32>(${one(row, 'k')}, 0.0f, 0.0f, 0.0f);\n`;
      else {
        for (let kk = 0; kk < steps; kk += 4) {
          const value = matrix.vector
            ? vectorAt(matrix, `${row} * ${matrix.inner} + k + ${kk}u`)
            : `vec4<f32>(${[0, 1, 2, 3].map((lane) => one(row, `k + ${kk + lane}u`)).join(', ')})`;
          code += `    let ${prefix}${i}_${kk / 4} = ${value};\n`;
        }
      }
    }
    return { code, at: (i, kk) => `${prefix}${i}_${Math.floor(kk / 4)}.${lanes[kk % 4] ?? 'x'}` };
  }
  for (let kk = 0; kk < steps; kk++) {
    const row = `(k + ${kk}u)`;
    if (codes?.unit === 8 && count === 8) {
      // A word is this row's 8 columns. They begin at a multiple of 8, as rows do.
      code += `    let at${kk} = ${row} * ${matrix.inner} + ${start}; let word${kk} = ${codes.word(`at${kk}`)};`;
      code += ` let t${kk} = ${codes.scale(codes.scaleIndex(`at${kk}`))};\n`;
      code += codes
        .fours(`word${kk}`, `t${kk}`)
        .map((four, part) => `    let ${prefix}${kk}_${part} = ${four};\n`)
        .join('');
      continue;
    }
    for (let j = 0; j < Math.ceil(count / 4); j++) {
      const single = (lane: number): string => (lane < count ? one(row, `${index}${lane}`) : '0.0f');
      const value = matrix.vector
        ? vectorAt(matrix, `${row} * ${matrix.inner} + min(${start} + ${4 * j}u, ${limit} - 4u)`)
        : `vec4<f32>(${[0, 1, 2, 3].map((lane) => single(4 * j + lane)).join(', ')})`;
      code += `    let ${prefix}${kk}_${j} = ${value};\n`;
    }
  }
  return { code, at: (i, kk) => `${prefix}${kk}_${Math.floor(i / 4)}.${lanes[i % 4] ?? 'x'}` };
}
