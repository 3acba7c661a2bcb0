import type { OperandEncoding } from '@lowrank/tensor/op';
import { nestedHead } from '@lowrank/tensor/op';
import type { Shader } from '../../shader.js';
import { literal } from '../../shader.js';
import type { Slice } from '../../kernel.js';

/**
 * A matrix stored as codes, inside a shader: how its words are read and turned into numbers. Indices are flat, in
 * elements.
 */
export interface Codes {
  /** Elements that one load of a word gives: 8 or 4 where rows start so, else 1. */
  readonly unit: 8 | 4 | 1;
  /** Elements of a row from a multiple of it on that share a scale; at least `unit` where that is above 1. */
  readonly span: number;
  /** WGSL at module scope. */
  readonly declarations: string;
  /**
   * WGSL for the top of main: what scales have in common, and the table in workgroup memory (with a barrier). Empty
   * where there is neither.
   */
  fill(lane: string): string;
  /** WGSL type of a scale: with a block's minimum beside it, a pair. */
  readonly scaleType: 'f32' | 'vec2<f32>';
  /** WGSL: which scale element `at` has, and that scale. */
  scaleIndex(at: string): string;
  scale(index: string): string;
  /** WGSL: the word that `unit` elements from `at` lie in, shifted so that they begin at its lowest bits. */
  word(at: string): string;
  /** WGSL vectors of the `unit` elements of a word. */
  fours(word: string, scale: string): readonly string[];
  /**
   * WGSL of four elements from a multiple of 4 on, where rows start at one; and of one element. Both fetch their own
   * scale, where none is given.
   */
  vector(at: string, scale?: string): string;
  scalar(at: string): string;
}

/**
 * Where the 16 values of the codes live. In workgroup memory they lie in 16 banks, so that no two lanes ever wait for
 * each other; a kernel without barriers has them as a private variable. A constant array would be copied or serialized
 * at every dynamic index on some drivers.
 */
export type TablePlace = 'workgroup' | 'private';

/**
 * Binds codes, absmax and what decodes it. The scale of a code is fetched once per word at most, and where a kernel
 * holds it, once per `span`.
 */
export function bindCodes(
  shader: Shader,
  name: string,
  {
    encoding,
    parts: [codes, absmax, last],
    table,
  }: { encoding: OperandEncoding; parts: readonly Slice[]; table: TablePlace },
): Codes {
  if (codes === undefined || absmax === undefined) throw new TypeError('an encoded matrix has codes and absmax');
  const words = shader.read(name, codes, 'u32');
  if (encoding.kind === 'rows8') {
    return rows8({
      words,
      scales: shader.read(`${name}Absmax`, absmax, 'f32'),
      columns: encoding.columns,
      columnsName: shader.size('COLUMNS', encoding.columns),
    });
  }
  const minimums =
    encoding.minimums === true && last !== undefined ? shader.read(`${name}Minimums`, last, 'f32') : undefined;
  const { blockSize, columns } = encoding;
  if (encoding.kind === 'block8')
    return block8({ words, scales: shader.read(`${name}Scales`, absmax, 'f32'), minimums, blockSize });
  const { nestedBlockSize } = encoding;
  const isNested = nestedBlockSize !== undefined && last !== undefined;
  const scales = shader.read(`${name}Absmax`, absmax, isNested ? 'u32' : 'f32');
  const map = isNested ? shader.read(`${name}Nested`, last) : '';
  const scale = isNested
    ? `var<private> scaleOffset: f32;
fn codeScale(block: u32) -> f32 {
  let code = (${scales}[block / 4u] >> (8u * (block % 4u))) & 255u;
  return ${map}[code] * ${map}[${nestedHead}u + block / ${nestedBlockSize}u] + scaleOffset;
}`
    : blockScale(scales, minimums);
  const begin = isNested ? `  scaleOffset = ${map}[${nestedHead - 1}u];\n` : '';
  return block4({ words, scale, begin, minimums, blockSize, columns, values: encoding.table.map(literal), table });
}

/** WGSL: the scale of a block, with its minimum where blocks have one. */
function blockScale(scales: string, minimums: string | undefined): string {
  return minimums === undefined
    ? `fn codeScale(block: u32) -> f32 { return ${scales}[block]; }`
    : `fn codeScale(block: u32) -> vec2<f32> { return vec2<f32>(${scales}[block], ${minimums}[block]); }`;
}

/** WGSL: a code's value by its scale, which may be a pair. */
const scaled = (value: string, scale: string, minimums: string | undefined): string =>
  minimums === undefined ? `${value} * ${scale}` : `${value} * ${scale}.x + ${scale}.y`;

const typeOfScale = (minimums: string | undefined): Codes['scaleType'] =>
  minimums === undefined ? 'f32' : 'vec2<f32>';

function block4({
  words,
  scale: scaleFunction,
  begin,
  minimums,
  blockSize,
  columns,
  values,
  table,
}: {
  words: string;
  /** WGSL of codeScale, and of what it needs at the top of main. */
  scale: string;
  begin: string;
  minimums: string | undefined;
  blockSize: number;
  columns: number;
  /** WGSL of the 16 values. */
  values: readonly string[];
  table: TablePlace;
}): Codes {
  const unit = columns % 8 === 0 ? 8 : columns % 4 === 0 ? 4 : 1;
  const assignments = values.map((value, code) => `codeValues[${code}] = ${value};`).join(' ');
  const tableDeclaration =
    table === 'workgroup'
      ? 'var<workgroup> codeValues: array<f32, 16>;'
      : `var<private> codeValues: array<f32, 16> = array<f32, 16>(${values.join(', ')});`;
  // Of `% 16u`, unlike `& 15u`, Dawn's compiler knows that it lies within the table, and does not clamp it.
  const index = (shift: number): string => `codeValues[${shift === 0 ? 'bits' : `(bits >> ${shift}u)`} % 16u]`;
  const scaleType = typeOfScale(minimums);
  return {
    unit,
    span: commonDivisor(columns, blockSize),
    scaleType,
    // Element 2j is the high half of byte j.
    declarations: `
${tableDeclaration}
${scaleFunction}
fn fourCodes(bits: u32, scale: ${scaleType}) -> vec4<f32> {
  return ${scaled(`vec4<f32>(${[4, 0, 12, 8].map(index).join(', ')})`, 'scale', minimums)};
}
fn oneCode(at: u32) -> f32 {
  let scale = codeScale(at / ${blockSize}u);
  return ${scaled(`codeValues[(${words}[at / 8u] >> (4u * ((at & 7u) ^ 1u))) % 16u]`, 'scale', minimums)};
}
`,
    fill: (lane) =>
      table === 'private' ? begin : `${begin}  if (${lane} == 0u) { ${assignments} }\n  workgroupBarrier();\n`,
    scaleIndex: (at) => `(${at}) / ${blockSize}u`,
    scale: (block) => `codeScale(${block})`,
    word: (at) => (unit === 8 ? `${words}[(${at}) / 8u]` : `(${words}[(${at}) / 8u] >> (4u * ((${at}) & 4u)))`),
    fours: (word, scale) =>
      unit === 8
        ? [`fourCodes(${word}, ${scale})`, `fourCodes(${word} >> 16u, ${scale})`]
        : [`fourCodes(${word}, ${scale})`],
    vector: (at, given = `codeScale((${at}) / ${blockSize}u)`) =>
      `fourCodes(${words}[(${at}) / 8u] >> (4u * ((${at}) & 4u)), ${given})`,
    scalar: (at) => `oneCode(${at})`,
  };
}

/** WGSL: four signed codes of 8 bits. */
const fourSigned = `
fn fourSigned(bits: u32) -> vec4<f32> {
  let word = bitcast<i32>(bits);
  let low = vec2<f32>(f32(extractBits(word, 0u, 8u)), f32(extractBits(word, 8u, 8u)));
  let high = vec2<f32>(f32(extractBits(word, 16u, 8u)), f32(extractBits(word, 24u, 8u)));
  return vec4<f32>(low, high);
}
`;

/** Rows are whole blocks, which are whole words. */
function block8({
  words,
  scales,
  minimums,
  blockSize,
}: {
  words: string;
  scales: string;
  minimums: string | undefined;
  blockSize: number;
}): Codes {
  const scaleType = typeOfScale(minimums);
  return {
    unit: 4,
    span: blockSize,
    scaleType,
    declarations: `${fourSigned}${blockScale(scales, minimums)}
fn fourCodes(bits: u32, scale: ${scaleType}) -> vec4<f32> { return ${scaled('fourSigned(bits)', 'scale', minimums)}; }
fn oneCode(at: u32) -> f32 {
  let scale = codeScale(at / ${blockSize}u);
  let code = f32(extractBits(bitcast<i32>(${words}[at / 4u]), 8u * (at & 3u), 8u));
  return ${scaled('code', 'scale', minimums)};
}
`,
    fill: () => '',
    scaleIndex: (at) => `(${at}) / ${blockSize}u`,
    scale: (block) => `codeScale(${block})`,
    word: (at) => `${words}[(${at}) / 4u]`,
    fours: (word, scale) => [`fourCodes(${word}, ${scale})`],
    vector: (at, scale = `codeScale((${at}) / ${blockSize}u)`) => `fourCodes(${words}[(${at}) / 4u], ${scale})`,
    scalar: (at) => `oneCode(${at})`,
  };
}

function rows8({
  words,
  scales,
  columns,
  columnsName,
}: {
  words: string;
  scales: string;
  columns: number;
  columnsName: string;
}): Codes {
  const step = literal(1 / 127);
  return {
    unit: columns % 4 === 0 ? 4 : 1,
    span: columns,
    scaleType: 'f32',
    declarations: `${fourSigned}fn codeScale(row: u32) -> f32 { return ${scales}[row]; }
fn fourCodes(bits: u32, scale: f32) -> vec4<f32> { return fourSigned(bits) * scale * ${step}; }
fn oneCode(at: u32) -> f32 {
  let code = f32(extractBits(bitcast<i32>(${words}[at / 4u]), 8u * (at & 3u), 8u));
  return code * codeScale(at / ${columnsName}) * ${step};
}
`,
    fill: () => '',
    scaleIndex: (at) => `(${at}) / ${columnsName}`,
    scale: (row) => `codeScale(${row})`,
    word: (at) => `${words}[(${at}) / 4u]`,
    fours: (word, scale) => [`fourCodes(${word}, ${scale})`],
    vector: (at, scale = `codeScale((${at}) / ${columnsName})`) => `fourCodes(${words}[(${at}) / 4u], ${scale})`,
    scalar: (at) => `oneCode(${at})`,
  };
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b);
}
