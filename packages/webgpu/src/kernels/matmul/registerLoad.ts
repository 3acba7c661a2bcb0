import { codesOf, lanes as parts, scalarAt, vectorAt } from './operands.js';
import type { Codes } from './codes.js';
import type { Matrix } from './operands.js';

/** Values of k at a time; 8 are a word of codes. */
export type Steps = 1 | 4 | 8;

/** WGSL that loads `count` rows or columns of an operand at `steps` values of k. */
export interface Side {
  readonly code: string;
  /** WGSL of the value at row (or column) i and step kk. */
  readonly at: (i: number, kk: number) => string;
}

interface SideOptions {
  readonly matrix: Matrix;
  /** Of the names of what is loaded, and of the rows (columns) to load. */
  readonly prefix: string;
  readonly index: string;
  /** WGSL: the first row (column), and their number in all. */
  readonly start: string;
  readonly limit: string;
  readonly count: number;
  readonly steps: Steps;
  /** The subgroup whose threads lie along the columns, and WGSL of its first: where they have scales in common. */
  readonly group?: { readonly lanes: number; readonly start: string } | undefined;
}

/** The side of an operand that each thread has for itself. */
export function loadOwn(options: SideOptions): Side {
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
    return { code, at: (i, kk) => `${prefix}${i}_${Math.floor(kk / 4)}.${parts[kk % 4] ?? 'x'}` };
  }
  const scaleOf = steps === 4 && codes !== undefined && codes.unit !== 1 ? commonScales(codes, options) : undefined;
  code += scaleOf?.code ?? '';
  for (let kk = 0; kk < steps; kk++) {
    const row = `(k + ${kk}u)`;
    if (codes?.unit === 8 && count === 8) {
      // A word is this row's 8 columns. They begin at a multiple of 8, as rows do.
      const at = `${row} * ${matrix.inner} + min(${start}, ${limit} - 8u)`;
      code += `    let at${kk} = ${at}; let word${kk} = ${codes.word(`at${kk}`)};`;
      code += ` let t${kk} = ${codes.scale(codes.scaleIndex(`at${kk}`))};\n`;
      code += codes
        .fours(`word${kk}`, `t${kk}`)
        .map((four, part) => `    let ${prefix}${kk}_${part} = ${four};\n`)
        .join('');
      continue;
    }
    for (let j = 0; j < Math.ceil(count / 4); j++) {
      const single = (lane: number): string => (lane < count ? one(row, `${index}${lane}`) : '0.0f');
      const at = `${row} * ${matrix.inner} + min(${start} + ${4 * j}u, ${limit} - 4u)`;
      const value = matrix.vector
        ? (scaleOf?.value(at, kk) ?? vectorAt(matrix, at))
        : `vec4<f32>(${[0, 1, 2, 3].map((lane) => single(4 * j + lane)).join(', ')})`;
      code += `    let ${prefix}${kk}_${j} = ${value};\n`;
    }
  }
  return { code, at: (i, kk) => `${prefix}${kk}_${Math.floor(i / 4)}.${parts[i % 4] ?? 'x'}` };
}

/**
 * Four rows of codes whose scale is the same for all columns of a subgroup: a lane fetches one row's, and all have it
 * from there. Undefined where a subgroup's columns have several.
 */
function commonScales(
  codes: Codes,
  { matrix, prefix, count, group }: SideOptions,
): { readonly code: string; readonly value: (at: string, kk: number) => string } | undefined {
  if (group === undefined || group.lanes < 4 || codes.span % (group.lanes * count) !== 0) return undefined;
  const scale = codes.scale(codes.scaleIndex(`(k + lane % 4u) * ${matrix.inner} + ${group.start}`));
  return {
    code: `    let ${prefix}Scale = ${scale};\n`,
    value: (at, kk) => codes.vector(at, `subgroupBroadcast(${prefix}Scale, ${kk}u)`),
  };
}

/** The side that the `lanes` threads of a subgroup have in common: each loads a part, and broadcasts it. */
export function loadShared(options: SideOptions & { readonly lanes: number }): Side {
  const { matrix, prefix, start, count, limit, steps, lanes } = options;
  const broadcast = (value: string, lane: number): string => `subgroupBroadcast(${value}, ${lane}u)`;
  if (matrix.alongInner) {
    // A row (column) per lane, some values of k of it.
    const { code, at } = loadOwn({ ...options, count: Math.ceil(count / lanes) });
    return { code, at: (i, kk) => broadcast(at(Math.floor(i / lanes), kk), i % lanes) };
  }
  const at = (k: string, place: string): string => `(k + ${k}) * ${matrix.inner} + min(${start} + ${place}, ${limit}`;
  let code = '';
  if (!matrix.vector || count % 4 !== 0) {
    for (let kk = 0; kk < steps; kk++) {
      for (let i = 0; i < count / lanes; i++)
        code += `    let ${prefix}${kk}_${i} = ${scalarAt(matrix, `${at(`${kk}u`, `${i * lanes}u + lane`)} - 1u)`)};\n`;
    }
    return { code, at: (i, kk) => broadcast(`${prefix}${kk}_${Math.floor(i / lanes)}`, i % lanes) };
  }
  // Four neighbours per lane: lanes lie along the row of this k, then along the next ones.
  const fours = count / 4;
  for (let turn = 0; turn < (fours * steps) / lanes; turn++) {
    const four = `(lane + ${turn * lanes}u)`;
    const [k, place] = [`min(${four} / ${fours}u, ${steps - 1}u)`, `${four} % ${fours}u * 4u`];
    code += `    let ${prefix}${turn} = ${vectorAt(matrix, `${at(k, place)} - 4u)`)};\n`;
  }
  return {
    code,
    at: (i, kk) => {
      const four = kk * fours + Math.floor(i / 4);
      return broadcast(`${prefix}${Math.floor(four / lanes)}.${parts[i % 4] ?? 'x'}`, four % lanes);
    },
  };
}
