import type { AttentionBlocks } from '../../choices.js';
import type { KernelContext } from '../../kernel.js';
import type { MatrixShape } from '../../matrixShape.js';
import { Shader } from '../../shader.js';
import type { Layout } from './layout.js';

/**
 * How attention lies over a workgroup on matrix units. Two subgroups side by side take every 16 rows of a block of
 * scores, half of its columns each, and then half of the results' columns. For what is done score by score `perRow`
 * threads share a row, every perRow-th column each.
 */
export interface Blocks extends AttentionBlocks {
  readonly matrices: MatrixShape;
  /** Elements from one row to the next: of head vectors, scores and weights. The excess keeps rows off one bank. */
  readonly pitch: number;
  readonly scorePitch: number;
  readonly weightPitch: number;
  readonly threads: number;
  readonly perRow: number;
}

export function blocksOf(chosen: AttentionBlocks, { profile: { matrices } }: KernelContext): Blocks {
  if (matrices === undefined) throw new TypeError('subgroup matrices without their shape');
  const { rows, columns, padded } = chosen;
  const threads = (rows / 8) * matrices.lanes;
  return {
    ...chosen,
    matrices,
    pitch: padded + 8,
    scorePitch: columns + 4,
    weightPitch: columns + 8,
    threads,
    perRow: threads / rows,
  };
}

/** What loads of head vectors take: four numbers at a time up to the padded end. */
export function paddedLayout({ size, groups }: Layout, { padded }: Blocks): Pick<Layout, 'size' | 'groups' | 'padded'> {
  return { size, groups, padded: padded / 4 };
}

/** A shader with the features of subgroup matrices. */
export function matrixShader(context: KernelContext, { matrices }: Blocks): Shader {
  const shader = new Shader(context);
  shader.enable('subgroups');
  shader.enable('chromium_experimental_subgroup_matrix');
  if (matrices.operand === 'f16') shader.enable('f16');
  if (matrices.sized) shader.enable('subgroup_size_control');
  return shader;
}

/** WGSL that declares blocks of head vectors, scores and weights in workgroup memory, by name. */
export function blockMemory(
  blocks: Blocks,
  names: Record<'rows' | 'columns' | 'scores' | 'weights', readonly string[]>,
): string {
  const { rows, columns, pitch, scorePitch, weightPitch, matrices } = blocks;
  const declare = (list: readonly string[], type: string, count: number): string =>
    list.map((name) => `var<workgroup> ${name}: array<${type}, ${count}>;\n`).join('');
  return (
    declare(names.rows, matrices.operand, rows * pitch) +
    declare(names.columns, matrices.operand, columns * pitch) +
    declare(names.scores, 'f32', rows * scorePitch) +
    declare(names.weights, matrices.operand, rows * weightPitch)
  );
}

/**
 * Head of main: defines lane, head and b; the subgroup's first row `ty` and which half of the columns it has, `tx`; the
 * thread's row within the block `at` and its share of it `part`; and `row`, `alive`.
 */
export function blockHead({ matrices: { lanes, sized }, threads, perRow, rows }: Blocks, count: string): string {
  return `@compute @workgroup_size(${threads})${sized ? ` @subgroup_size(${lanes})` : ''}
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let head = wid.y;
  let b = wid.z;
  let subgroup = lane / ${lanes}u;
  let ty = (subgroup / 2u) * 16u;
  let tx = subgroup % 2u;
  let at = lane / ${perRow}u;
  let part = lane % ${perRow}u;
  let row = wid.x * ${rows}u + at;
  let alive = row < ${count};
`;
}

/** WGSL that fills a block with `count` rows of head vectors, zero where a row does not exist. */
export function fillBlock(
  { pitch, padded, threads, matrices: { operand } }: Blocks,
  options: { block: string; load: string; count: number; start: string; limit: string; base: (row: string) => string },
): string {
  const { block, load, count, start, limit, base } = options;
  const groups = padded / 4;
  const store = (lane: number): string => `${block}[cell + ${lane}u] = four[${lane}];`;
  return `    for (var v = lane; v < ${count * groups}u; v += ${threads}u) {
      let which = ${start} + v / ${groups}u;
      var four = vec4<${operand}>();
      if (which < ${limit}) { four = vec4<${operand}>(load_${load}(${base('which')}, v % ${groups}u)); }
      let cell = (v / ${groups}u) * ${pitch}u + (v % ${groups}u) * 4u;
      ${[0, 1, 2, 3].map(store).join(' ')}
    }
`;
}

/** The matrices of a subgroup's share of `width` columns by 16 rows, by rows and columns of them. */
function places({ matrices: { m, n } }: Blocks, width: number): [number, number][] {
  return Array.from({ length: 16 / m }, (_, i) =>
    Array.from({ length: width / 2 / n }, (_none, j): [number, number] => [i, j]),
  ).flat();
}

/**
 * WGSL that declares a subgroup's sums over `width` columns, zero: by a store, since a matrix declared in a loop is
 * zero only the first time round (lavapipe).
 */
export function declareSums(blocks: Blocks, name: string, width: number): string {
  const { m, n } = blocks.matrices;
  return places(blocks, width)
    .map(([i, j]) => `  var ${name}${i}_${j} = subgroup_matrix_result<f32, ${n}, ${m}>();\n`)
    .join('');
}

/** WGSL of a matrix of a block: `at` is its first element, `order` how the block lies to the product. */
function loadMatrix(
  { m, n, k, operand }: MatrixShape,
  side: 'left' | 'right',
  { block, at, pitch, order }: { block: string; at: string; pitch: number; order: 'row' | 'col' },
): string {
  const type = `subgroup_matrix_${side}<${operand}, ${side === 'left' ? `${k}, ${m}` : `${n}, ${k}`}>`;
  return `subgroupMatrixLoad<${type}, ${order}_major>(&${block}, ${at}, ${pitch}u)`;
}

/** WGSL that puts the scores rows·columnsᵀ of two blocks of head vectors into workgroup memory. */
export function makeScores(blocks: Blocks, options: { rows: string; columns: string; to: string }): string {
  const { matrices, padded, columns, pitch, scorePitch } = blocks;
  const { m, n, k } = matrices;
  const { rows, columns: block, to } = options;
  const half = columns / 2;
  const all = places(blocks, columns);
  let code = `    {\n${declareSums(blocks, 's', columns)}    for (var d = 0u; d < ${padded}u; d += ${k}u) {\n`;
  for (let i = 0; i < 16 / m; i++) {
    const at = `(ty + ${i * m}u) * ${pitch}u + d`;
    code += `      let l${i} = ${loadMatrix(matrices, 'left', { block: rows, at, pitch, order: 'row' })};\n`;
  }
  for (let j = 0; j < half / n; j++) {
    const at = `(tx * ${half}u + ${j * n}u) * ${pitch}u + d`;
    code += `      let r${j} = ${loadMatrix(matrices, 'right', { block, at, pitch, order: 'col' })};\n`;
  }
  for (const [i, j] of all) code += `      s${i}_${j} = subgroupMatrixMultiplyAccumulate(l${i}, r${j}, s${i}_${j});\n`;
  code += '    }\n';
  for (const [i, j] of all) {
    const at = `(ty + ${i * m}u) * ${scorePitch}u + tx * ${half}u + ${j * n}u`;
    code += `    subgroupMatrixStore<row_major>(&${to}, ${at}, s${i}_${j}, ${scorePitch}u);\n`;
  }
  return `${code}    }\n`;
}

/** WGSL that adds weights·columns, of a block of weights and one of head vectors, to a subgroup's sums. */
export function addWeighted(blocks: Blocks, options: { weights: string; columns: string; to: string }): string {
  const { matrices, padded, columns, pitch, weightPitch } = blocks;
  const { m, n, k } = matrices;
  const { weights, columns: block, to } = options;
  let code = `    for (var c = 0u; c < ${columns}u; c += ${k}u) {\n`;
  for (let i = 0; i < 16 / m; i++) {
    const left = {
      block: weights,
      at: `(ty + ${i * m}u) * ${weightPitch}u + c`,
      pitch: weightPitch,
      order: 'row',
    } as const;
    code += `      let l${i} = ${loadMatrix(matrices, 'left', left)};\n`;
  }
  // One matrix of the right at a time: wide heads have many.
  for (let j = 0; j < padded / 2 / n; j++) {
    const at = `c * ${pitch}u + tx * ${padded / 2}u + ${j * n}u`;
    code += `      { let r = ${loadMatrix(matrices, 'right', { block, at, pitch, order: 'row' })};\n`;
    for (let i = 0; i < 16 / m; i++)
      code += `      ${to}${i}_${j} = subgroupMatrixMultiplyAccumulate(l${i}, r, ${to}${i}_${j});\n`;
    code += '      }\n';
  }
  return `${code}    }\n`;
}

/** A subgroup's sums, and the workgroup memory that they pass through, a matrix at a time. */
interface Passing {
  readonly sums: string;
  /** An array of f32 with room for a matrix of each subgroup. */
  readonly through: string;
}

/** WGSL that multiplies each row of a subgroup's sums by a number of its own. All threads pass barriers. */
export function scaleRows(blocks: Blocks, { sums, through, by }: Passing & { by: (row: string) => string }): string {
  const { m, n, lanes } = blocks.matrices;
  return places(blocks, blocks.padded)
    .map(([i, j]) => {
      const start = `subgroup * ${m * n}u`;
      const matrix = `${sums}${i}_${j}`;
      const type = `subgroup_matrix_result<f32, ${n}, ${m}>`;
      return `    subgroupMatrixStore<row_major>(&${through}, ${start}, ${matrix}, ${n}u);
    workgroupBarrier();
    for (var e = lane % ${lanes}u; e < ${m * n}u; e += ${lanes}u) {
      ${through}[${start} + e] *= ${by(`ty + ${i * m}u + e / ${n}u`)};
    }
    workgroupBarrier();
    ${matrix} = subgroupMatrixLoad<${type}, row_major>(&${through}, ${start}, ${n}u);
    workgroupBarrier();
`;
    })
    .join('');
}

/** WGSL that hands each four numbers of a subgroup's sums to `store(row, group, value)`. All threads pass barriers. */
export function storeSums(
  blocks: Blocks,
  { sums, through, store }: Passing & { store: (row: string, group: string, value: string) => string },
): string {
  const { padded, matrices } = blocks;
  const { m, n, lanes } = matrices;
  const groups = n / 4;
  return places(blocks, padded)
    .map(([i, j]) => {
      const start = `subgroup * ${m * n}u`;
      const element = (lane: number): string => `${through}[${start} + four * 4u + ${lane}u]`;
      const value = `vec4<f32>(${[0, 1, 2, 3].map(element).join(', ')})`;
      const row = `(ty + ${i * m}u + four / ${groups}u)`;
      const group = `(tx * ${padded / 8}u + ${(j * n) / 4}u + four % ${groups}u)`;
      return `  subgroupMatrixStore<row_major>(&${through}, ${start}, ${sums}${i}_${j}, ${n}u);
  workgroupBarrier();
  for (var four = lane % ${lanes}u; four < ${m * groups}u; four += ${lanes}u) {
    ${store(row, group, value)}
  }
  workgroupBarrier();
`;
    })
    .join('');
}
