import { partSize } from '@lowrank/tensor/op';
import type { Shader } from '../../shader.js';
import type { Part, Product } from './product.js';
import type { OutputTile } from './target.js';

/** WGSL of thin products with the results of a tile of {@link partSize} rows and columns. */
export interface PartSums {
  /** Before the results are there: those with what the epilogue makes of its operands alone. */
  readonly before: string;
  /** After they are stored: the workgroup reads back what it has written, which no cache has given up yet. */
  readonly after: string;
}

/** A part and its names in WGSL. */
interface BoundPart extends Part {
  readonly from: string;
  readonly to: string;
  readonly times: string;
}

/**
 * Binds what the parts of a product read and write. A thread has a column of the tile, or a row, and sums of all ranks:
 * its registers are free then, which the tile's sums have left or do not take yet.
 */
export function bindParts(shader: Shader, { parts }: Product, target: OutputTile, threads: number): PartSums {
  const code = { before: '', after: '' };
  for (const [at, part] of parts.entries()) {
    const times = part.scale === undefined ? '' : ` * ${shader.scalar(`scale of part ${at}`, part.scale)}`;
    const from = shader.read(`t${at}`, part.t, 'vec4<f32>');
    const bound = { ...part, from, to: shader.write(`part${at}`, part.out), times };
    const result = resultOf(target, part.of);
    code[result.stored ? 'after' : 'before'] += sumPart(bound, result.at, threads);
  }
  // Results may lie over what the first ones read.
  if (code.before !== '') code.before += '  storageBarrier();\n';
  if (code.after !== '') code.after = `  storageBarrier();\n${code.after}`;
  return code;
}

/** WGSL of four neighbours of a result, from the place of the four on. */
interface Result {
  readonly stored: boolean;
  readonly at: (place: string) => string;
}

function resultOf({ out, epilogue }: OutputTile, of: number): Result {
  if (of === 0) return { stored: true, at: (place) => out.read(place) };
  if (epilogue?.form !== 'swigluGradient') throw new TypeError(`a product without result ${of}`);
  const { gate, up, dUp } = epilogue;
  if (of === 1) return { stored: true, at: (place) => dUp.read(place) };
  const joined = (place: string): string =>
    `${gate.read(place)} / (1.0f + exp(-${gate.read(place)})) * ${up.read(place)}`;
  return { stored: false, at: joined };
}

function sumPart(part: BoundPart, result: Result['at'], threads: number): string {
  const { name, limit, index } =
    part.over === 'rows'
      ? { name: 'column', limit: 'N', index: 'colBase' }
      : { name: 'row', limit: 'M', index: 'rowBase' };
  const guard = threads > partSize ? `lane < ${partSize}u && ` : '';
  const sums = fours(part).map((four) => `    var sum${four} = vec4<f32>();\n`);
  return `  if (${guard}${index} + lane < ${limit}) {
    let ${name} = ${index} + lane;
${sums.join('')}${part.over === 'rows' ? overRows(part, result) : overColumns(part, result)}${storeSums(part)}  }
`;
}

function fours({ rank }: BoundPart): number[] {
  return Array.from({ length: rank / 4 }, (_, four) => four);
}

/** A column of the result times the rows of t. */
function overRows(part: BoundPart, result: Result['at']): string {
  const { from, rank } = part;
  const adds = fours(part).map((four) => ` sum${four} += value * ${from}[row * ${rank / 4}u + ${four}u];`);
  return `    for (var row = rowBase; row < min(rowBase + ${partSize}u, M); row++) {
      let at = row * N + column; let four = ${result('at / 4u')}; let value = four[at % 4u];${adds.join('')}
    }
`;
}

/** A row of the result, four columns at a time, times those rows (or columns) of t. */
function overColumns(part: BoundPart, result: Result['at']): string {
  const { from, rank, transposed } = part;
  const adds = fours(part).map((four) => {
    const ranks = [0, 1, 2, 3].map((each) =>
      transposed
        ? `dot(values, ${from}[(${4 * four + each}u * N + column) / 4u])`
        : `values[${each}] * ${from}[(column + ${each}u) * ${rank / 4}u + ${four}u]`,
    );
    return ` sum${four} += ${transposed ? `vec4<f32>(${ranks.join(', ')})` : ranks.join(' + ')};`;
  });
  return `    for (var column = colBase; column < min(colBase + ${partSize}u, N); column += 4u) {
      let values = ${result('(row * N + column) / 4u')};${adds.join('')}
    }
`;
}

function storeSums({ to, times, rank, over, transposed }: BoundPart): string {
  const place = (each: number): string => {
    if (over === 'columns') return `(wid.x * M + row) * ${rank}u + ${each}u`;
    return transposed ? `(wid.y * N + column) * ${rank}u + ${each}u` : `(wid.y * ${rank}u + ${each}u) * N + column`;
  };
  const stores = Array.from(
    { length: rank },
    (_, each) => `    ${to}[${place(each)}] = sum${Math.floor(each / 4)}[${each % 4}]${times};\n`,
  );
  return stores.join('');
}
