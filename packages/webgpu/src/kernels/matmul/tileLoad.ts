import type { TileElement } from '../../choices.js';
import type { Codes } from './codes.js';
import { codesOf, scalarAt, vectorAt } from './operands.js';
import type { Matrix } from './operands.js';

/** A tile of an operand in workgroup memory: `width` rows or columns of the result, times k. */
export interface Tile {
  readonly name: string;
  readonly element: TileElement;
  readonly width: number;
  /** WGSL: where the tile begins, and where the matrix ends, along the result. */
  readonly start: string;
  readonly limit: string;
  /** WGSL: the index of an element, `x` along the result and `y` along k from the tile's start. */
  readonly cell: (x: string, y: string) => string;
}

/** How the workgroup goes through k. */
export interface Walk {
  readonly bk: number;
  readonly threads: number;
}

/** WGSL before the loop over k, and in it: loads the right operand's tile. */
export interface TileLoad {
  readonly before: string;
  readonly load: string;
}

/** The right operand's tile, of numbers or of codes. */
export function loadRight(right: Matrix, tile: Tile, walk: Walk): TileLoad {
  const codes = codesOf(right);
  if (codes !== undefined && codes.unit !== 1) return loadCodes({ codes, matrix: right, tile, walk });
  return { before: '', load: loadTile(right, tile, walk) };
}

/**
 * Cooperative load of bk × width elements, zero outside the matrix. `outer` is masked, which changes nothing, so that a
 * browser's compiler sees that every place lies within the tile, and clamps none of the indices.
 */
export function loadTile(matrix: Matrix, { name, element, width, start, limit, cell }: Tile, walk: Walk): string {
  const { bk, threads } = walk;
  const unit = matrix.vector ? 4 : 1;
  const total = (bk * width) / unit;
  const along = matrix.alongInner ? bk / unit : width / unit;
  let code = `    for (var v = lane; v < ${total}u; v += ${threads}u) {
      let inner = (v % ${along}u) * ${unit}u; let outer = (v / ${along}u) % ${total / along}u;
`;
  code += matrix.alongInner
    ? `      let x = ${start} + outer; let y = k + inner; let inside = x < ${limit} && y < k1;\n`
    : `      let x = ${start} + inner; let y = k + outer; let inside = x < ${limit} && y < k1;\n`;
  const at = matrix.alongInner ? `x * ${matrix.inner} + y` : `y * ${matrix.inner} + x`;
  const place = (step: string): string =>
    `${name}[${matrix.alongInner ? cell('outer', `(inner${step})`) : cell(`(inner${step})`, 'outer')}]`;
  if (unit === 1) {
    code += `      var w = 0.0f;\n      if (inside) { w = ${scalarAt(matrix, at)}; }\n`;
    return `${code}      ${place('')} = ${element}(w);\n    }\n`;
  }
  // Of what is stored in f16 this is no conversion to a GPU's compiler, and naga has no bitcast to vectors of f16.
  const value = element === 'f16' ? `vec4<f16>(${vectorAt(matrix, at)})` : vectorAt(matrix, at);
  code += `      var w = vec4<${element}>();\n      if (inside) { w = ${value}; }\n`;
  for (let lane = 0; lane < 4; lane++) code += `      ${place(lane === 0 ? '' : ` + ${lane}u`)} = w[${lane}];\n`;
  return `${code}    }\n`;
}

/**
 * The same for codes: a word per thread and turn, rows of the matrix side by side where the contraction runs along
 * them. There a thread comes back to the same row at every step of k, and holds its scale until the block ends;
 * otherwise each word's scale is fetched with it, the same one by neighbouring threads.
 */
function loadCodes({
  codes,
  matrix,
  tile: { name, element, width, start, limit, cell },
  walk: { bk, threads },
}: {
  codes: Codes;
  matrix: Matrix;
  tile: Tile;
  walk: Walk;
}): TileLoad {
  const { unit } = codes;
  const total = (bk * width) / unit;
  let [before, load] = ['', ''];
  for (let turn = 0; turn < Math.ceil(total / threads); turn++) {
    const place = (i: number): string =>
      `${name}[${matrix.alongInner ? cell('outer', `(inner + ${i}u)`) : cell(`(inner + ${i}u)`, 'outer')}]`;
    const guard = (turn + 1) * threads > total ? `if (lane < ${total - turn * threads}u) ` : '';
    load += `    ${guard}{\n      let v = lane + ${turn * threads}u;\n`;
    load += matrix.alongInner
      ? `      let outer = v % ${width}u; let inner = (v / ${width}u) * ${unit}u;
      let x = ${start} + outer; let y = k + inner; let at = x * ${matrix.inner} + y;
`
      : `      let inner = (v % ${width / unit}u) * ${unit}u; let outer = v / ${width / unit}u;
      let x = ${start} + inner; let y = k + outer; let at = y * ${matrix.inner} + x;
`;
    load += `      let inside = x < ${limit} && y < k1;\n`;
    let scale = 'scale';
    if (matrix.alongInner) {
      before += `  var block${turn} = 0xffffffffu; var scale${turn}: ${codes.scaleType};\n`;
      const [block, index] = [`block${turn}`, codes.scaleIndex('at')];
      scale = `scale${turn}`;
      load += `      if (inside && ${block} != ${index}) { ${block} = ${index}; ${scale} = ${codes.scale(block)}; }\n`;
    }
    const values = codes.fours('word', scale);
    for (let i = 0; i < values.length; i++) load += `      var w${i} = vec4<${element}>();\n`;
    const fetch = matrix.alongInner ? '' : `let scale = ${codes.scale(codes.scaleIndex('at'))}; `;
    const narrow = (value: string): string => (element === 'f16' ? `vec4<f16>(${value})` : value);
    const decoded = values.map((value, i) => `w${i} = ${narrow(value)};`).join(' ');
    load += `      if (inside) { let word = ${codes.word('at')}; ${fetch}${decoded} }\n`;
    for (let i = 0; i < unit; i++) load += `      ${place(i)} = w${Math.floor(i / 4)}[${i % 4}];\n`;
    load += '    }\n';
  }
  return { before, load };
}
