import type { KernelContext, Launch, Slice } from '../../kernel.js';
import { Shader } from '../../shader.js';
import { bindProduct, storeFour } from './common.js';
import type { Phase } from './common.js';
import { lanes, scalarAt, unpacking, vectorAt } from './operands.js';
import type { Matrix } from './operands.js';
import type { Choice, Product } from './product.js';

/**
 * A product without workgroup memory: each thread holds tm rows × tn columns of accumulators and loads both operands straight from storage, four
 * values at a time. Software adapters run it several times faster than a tiled kernel, since barriers cost them most.
 */
export function registerProduct(options: { label: string; product: Product; choice: Choice; workspace: Slice | undefined; context: KernelContext }): Launch {
  const { product, choice } = options;
  const { m, n } = product;
  const { tm, tn, wx, wy } = choice;
  const bound = bindProduct(new Shader(options.context), product, choice, options.workspace);
  const groups = tn / 4;
  let body = `${unpacking}
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
    const stores = Array.from({ length: groups }, (_, j) => storeFour(bound.target, { row: `(row0 + ${i}u)`, col: `(col0 + ${4 * j}u)`, value: `s${i}_${j}` }));
    body += `  if (row0 + ${i}u < M) {\n    ${stores.join('\n    ')}\n  }\n`;
  }
  const workgroups = [Math.ceil(n / (tn * wx)), Math.ceil(m / (tm * wy)), product.batch * choice.splits] as const;
  return bound.shader.launch({ label: `${options.label} register ${tm}x${tn}`, body: `${body}}\n`, workgroups });
}

function phaseLoop(phase: Phase, choice: Choice): string {
  const whole = `(${phase.lengthName} & 0xfffffffcu)`;
  const declare = `  { let k0 = ${phase.from}; let k1 = ${phase.to};\n`;
  const main = `  for (var k = k0; k < min(k1, ${whole}); k += 4u) {\n${step(phase, choice, 4)}  }\n`;
  const tail = phase.length % 4 === 0 ? '' : `  for (var k = max(k0, ${whole}); k < k1; k++) {\n${step(phase, choice, 1)}  }\n`;
  return `${declare}${main}${tail}  }\n`;
}

/** The outer products of `steps` (4 or 1) values of k. */
function step(phase: Phase, { tm, tn }: Choice, steps: 1 | 4): string {
  const left = loadSide({ matrix: phase.left, prefix: 'p', index: 'r', start: 'row0', count: tm, limit: 'M', steps });
  const right = loadSide({ matrix: phase.right, prefix: 'q', index: 'c', start: 'col0', count: tn, limit: 'N', steps });
  let code = left.code + right.code;
  for (let kk = 0; kk < steps; kk++) {
    for (let j = 0; j < tn / 4; j++) {
      code += `    let b${kk}_${j} = vec4<f32>(${[0, 1, 2, 3].map((lane) => right.at(4 * j + lane, kk)).join(', ')});\n`;
    }
    for (let i = 0; i < tm; i++) {
      for (let j = 0; j < tn / 4; j++) code += `    s${i}_${j} = fma(vec4<f32>(${left.at(i, kk)}), b${kk}_${j}, s${i}_${j});\n`;
    }
  }
  return code;
}

interface Side {
  readonly code: string;
  /** WGSL of the value at row (or column) i and step kk. */
  at(i: number, kk: number): string;
}

function loadSide(options: { matrix: Matrix; prefix: string; index: string; start: string; count: number; limit: string; steps: 1 | 4 }): Side {
  const { matrix, prefix, index, start, count, limit, steps } = options;
  const one = (outer: string, inner: string): string => scalarAt(matrix, `${outer} * ${matrix.inner} + ${inner}`);
  let code = '';
  if (matrix.alongInner) {
    for (let i = 0; i < count; i++) {
      const row = `${index}${i}`;
      if (steps === 1) code += `    let ${prefix}${i} = vec4<f32>(${one(row, 'k')}, 0.0f, 0.0f, 0.0f);\n`;
      else if (matrix.vector) code += `    let ${prefix}${i} = ${vectorAt(matrix, `${row} * ${matrix.inner} + k`)};\n`;
      else code += `    let ${prefix}${i} = vec4<f32>(${[0, 1, 2, 3].map((kk) => one(row, `k + ${kk}u`)).join(', ')});\n`;
    }
    return { code, at: (i, kk) => `${prefix}${i}.${lanes[kk] ?? 'x'}` };
  }
  for (let kk = 0; kk < steps; kk++) {
    for (let j = 0; j < Math.ceil(count / 4); j++) {
      const row = `(k + ${kk}u)`;
      const value = matrix.vector
        ? vectorAt(matrix, `${row} * ${matrix.inner} + min(${start} + ${4 * j}u, ${limit} - 4u)`)
        : `vec4<f32>(${[0, 1, 2, 3].map((lane) => (4 * j + lane < count ? one(row, `${index}${4 * j + lane}`) : '0.0f')).join(', ')})`;
      code += `    let ${prefix}${kk}_${j} = ${value};\n`;
    }
  }
  return { code, at: (i, kk) => `${prefix}${kk}_${Math.floor(i / 4)}.${lanes[i % 4] ?? 'x'}` };
}
