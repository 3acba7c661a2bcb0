import type { KernelContext, KernelDispatch, Slice } from '../../kernel.js';
import { Shader } from '../../shader.js';
import { bindProduct } from './common.js';
import type { Phase } from './phases.js';
import { storeFour } from './target.js';
import type { Codes } from './codes.js';
import { codesOf } from './operands.js';
import type { ProductChoice } from '../../choices.js';
import type { Product } from './product.js';
import { loadOwn, loadShared } from './registerLoad.js';
import type { Steps } from './registerLoad.js';

/**
 * A product without workgroup memory: each thread holds tm rows × tn columns of accumulators and loads both operands
 * straight from storage, four values at a time. Software adapters run it several times faster than a tiled kernel,
 * since barriers cost them most. In the form `lanes` the workgroup is one subgroup, along the columns or along the
 * rows: what all its threads need, the rows or the columns, they load once between them, and broadcast. A load costs a
 * software adapter as much as twenty sums (each lane branches on its guard), a broadcast less than one.
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
  const share = sharedSide(choice);
  if (share !== undefined) bound.shader.enable('subgroups');
  const lane = share === undefined ? 'local_invocation_index' : 'subgroup_invocation_id';
  let body = `${bound.declarations}
@compute @workgroup_size(${wx * wy})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(${lane}) lane: u32) {
  ${bound.head}
${bound.fill}  let row0 = (wid.y * ${wy}u + lane / ${wx}u) * ${tm}u;
  let col0 = (wid.x * ${wx}u + lane % ${wx}u) * ${tn}u;
`;
  // Lanes beyond the result stay: they load for the others.
  if (share === undefined) body += '  if (row0 >= M || col0 >= N) { return; }\n';
  body += placesOf({ name: 'r', start: 'row0', count: tm, limit: 'M', lanes: share === 'left' ? wx : undefined });
  body += placesOf({ name: 'c', start: 'col0', count: tn, limit: 'N', lanes: share === 'right' ? wy : undefined });
  for (let i = 0; i < tm; i++) for (let j = 0; j < groups; j++) body += `  var s${i}_${j} = vec4<f32>();\n`;
  for (const phase of bound.phases) body += phaseLoop(phase, choice);
  for (let i = 0; i < tm; i++) {
    const stores = Array.from({ length: groups }, (_, j) =>
      storeFour(bound.target, { row: `(row0 + ${i}u)`, col: `(col0 + ${4 * j}u)`, value: `s${i}_${j}` }),
    );
    body += `  if (row0 + ${i}u < M) {\n    ${stores.join('\n    ')}\n  }\n`;
  }
  const workgroups = [Math.ceil(n / (tn * wx)), Math.ceil(m / (tm * wy)), product.batch * choice.splits] as const;
  const label = `${options.label} ${choice.kind} ${tm}x${tn}`;
  return bound.shader.launch({ label, body: `${body}}\n`, workgroups });
}

/** The operand that the lanes of a subgroup share. */
function sharedSide({ kind, wx }: ProductChoice): 'left' | 'right' | undefined {
  return kind !== 'lanes' ? undefined : wx > 1 ? 'left' : 'right';
}

/** WGSL of the rows (columns) of a thread, or of those that it loads for all `lanes` threads. */
function placesOf(options: { name: string; start: string; count: number; limit: string; lanes?: number | undefined }) {
  const { name, start, count, limit, lanes } = options;
  const own = lanes === undefined ? count : Math.ceil(count / lanes);
  const place = (i: number): string => (lanes === undefined ? `${i}u` : `${i * lanes}u + lane`);
  return Array.from(
    { length: own },
    (_, i) => `  let ${name}${i} = min(${start} + ${place(i)}, ${limit} - 1u);\n`,
  ).join('');
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
  const { tn, wy } = choice;
  const { unit, span } = codes;
  const at = (column: number): string => `c${column} * ${phase.right.inner} + k`;
  const columns = sharedSide(choice) === 'right' ? Math.ceil(tn / wy) : tn;
  let scales = '';
  for (let j = 0; j < columns; j++) scales += `    let t${j} = ${codes.scale(codes.scaleIndex(at(j)))};\n`;
  // Parts of a split K may begin within a span.
  const inner = `for (; k < end; k += ${unit}u) {\n${step(phase, choice, unit === 8 ? 8 : 4)}  }`;
  return `  for (var k = k0; k < k1;) {
    let end = min(k1, (k / ${span}u + 1u) * ${span}u);
${scales}  ${inner}
  }
`;
}

/** The outer products of `steps` values of k. */
function step(phase: Phase, choice: ProductChoice, steps: Steps): string {
  const { tm, tn, wx, wy } = choice;
  const share = sharedSide(choice);
  const rows = { matrix: phase.left, prefix: 'p', index: 'r', start: 'row0', count: tm, limit: 'M', steps };
  const group = share === 'left' ? { lanes: wx, start: `wid.x * ${wx * tn}u` } : undefined;
  const columns = { matrix: phase.right, prefix: 'q', index: 'c', start: 'col0', count: tn, limit: 'N', steps, group };
  const left = share === 'left' ? loadShared({ ...rows, lanes: wx }) : loadOwn(rows);
  const right = share === 'right' ? loadShared({ ...columns, lanes: wy }) : loadOwn(columns);
  let code = left.code + right.code;
  for (let kk = 0; kk < steps; kk++) {
    for (let j = 0; j < tn / 4; j++) {
      const four = [0, 1, 2, 3].map((lane) => right.at(4 * j + lane, kk)).join(', ');
      code += `    let b${kk}_${j} = vec4<f32>(${four});\n`;
    }
    for (let i = 0; i < tm; i++) {
      code += `    let a${kk}_${i} = vec4<f32>(${left.at(i, kk)});\n`;
      for (let j = 0; j < tn / 4; j++) code += `    s${i}_${j} = fma(a${kk}_${i}, b${kk}_${j}, s${i}_${j});\n`;
    }
  }
  return code;
}
