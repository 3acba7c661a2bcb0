import type { LeftForm } from '@lowrank/tensor/op';
import type { Shader } from '../../shader.js';
import type { Slice } from '../../kernel.js';
import type { TablePlace } from './codes.js';
import { bindEncodedMatrix, bindMatrix, codesOf, unpacking } from './operands.js';
import type { Matrix } from './operands.js';
import { partLength } from './product.js';
import type { ProductChoice } from '../../choices.js';
import type { Product } from './product.js';

/** How the left operand is made of itself and another matrix, or of a row that all its rows share. */
export type MadeLeft = LeftForm & { readonly beside: Matrix };

/** One contraction of a product: the main one, and with an epilogue the low-rank one into the same accumulators. */
export interface Phase {
  readonly left: Matrix;
  /** What the left operand is made with. */
  readonly made?: MadeLeft | undefined;
  readonly right: Matrix;
  /** WGSL expressions of the range of k. */
  readonly from: string;
  readonly to: string;
  /** Elements of k, when the range is known: a multiple of 4 needs no tail. */
  readonly length: number;
  readonly lengthName: string;
}

export interface OutputTile {
  readonly name: string;
  readonly vector: boolean;
  /** WGSL of the first element of this batch (and part). */
  readonly base: string;
  /** WGSL that multiplies a result, or nothing. */
  readonly times: string;
  readonly addend: { readonly name: string; readonly kind: 'full' | 'row'; readonly base: string } | undefined;
}

export interface Bound {
  readonly shader: Shader;
  readonly phases: readonly Phase[];
  readonly target: OutputTile;
  /** WGSL at module scope: what reading the operands takes. */
  readonly declarations: string;
  /** WGSL that must stand at the top of main: batch and part from the z index. */
  readonly head: string;
  /** WGSL that follows it, before any thread leaves: the codes' table. `lane` is the local invocation index. */
  readonly fill: string;
}

/**
 * Binds everything a product reads and writes. With split K the result is the workspace; scale and addend wait for the
 * second pass.
 */
export function bindProduct(
  shader: Shader,
  product: Product,
  choice: ProductChoice,
  { workspace, table }: { workspace: Slice | undefined; table: TablePlace },
): Bound {
  const { m, n, k, a, lowRank, batch } = product;
  const split = choice.splits > 1;
  const left = bindMatrix(shader, {
    name: 'a',
    slice: a,
    dtype: a.dtype,
    inner: product.transposeA ? m : k,
    innerName: product.transposeA ? 'M' : 'K',
    alongInner: !product.transposeA,
    base: stride(batch, 'M * K'),
  });
  const made = product.made === undefined ? undefined : bindMade(shader, product.made, k);
  const right = bindWeight(shader, product, table);
  const part = partLength(k, choice);
  const range = split ? { from: 'part * KPART', to: 'min(part * KPART + KPART, K)' } : { from: '0u', to: 'K' };
  const phases: Phase[] = [{ left, made, right, ...range, length: k, lengthName: 'K' }];
  if (product.lowRank !== undefined) phases.push(lowRankPhase(shader, product, product.lowRank, split));
  const target = bindTarget(shader, product, { workspace, split });
  const sizes = [
    ['M', m],
    ['N', n],
    ['K', k],
    ['R', lowRank?.rank ?? 0],
    ['BATCH', batch],
    ['KPART', part],
  ] as const;
  const head = `${sizes.map(([name, value]) => `let ${name} = ${shader.size(name, value)};`).join(' ')}
  let batch = ${batch === 1 ? '0u' : 'wid.z % BATCH'}; let part = ${split ? 'wid.z / BATCH' : '0u'};`;
  return {
    shader,
    phases,
    target,
    declarations: unpacking(phases.flatMap(({ left, right }) => [left, right])),
    head,
    fill: codesOf(right)?.fill('lane') ?? '',
  };
}

function bindMade(shader: Shader, { beside, ...form }: NonNullable<Product['made']>, k: number): MadeLeft {
  const { dtype } = beside;
  const lay = { inner: k, innerName: 'K', alongInner: true, base: '' };
  return { ...form, beside: bindMatrix(shader, { name: 'beside', slice: beside, dtype, ...lay }) };
}

/** The epilogue h·u, into the same sums. With split K the first part adds it. */
function lowRankPhase(
  shader: Shader,
  { n, batch }: Product,
  { h, u, rank, transposeU }: NonNullable<Product['lowRank']>,
  split: boolean,
): Phase {
  return {
    left: bindMatrix(shader, {
      name: 'h',
      slice: h,
      dtype: h.dtype,
      inner: rank,
      innerName: 'R',
      alongInner: true,
      base: stride(batch, 'M * R'),
    }),
    right: bindMatrix(shader, {
      name: 'u',
      slice: u,
      dtype: u.dtype,
      inner: transposeU ? rank : n,
      innerName: transposeU ? 'R' : 'N',
      alongInner: transposeU,
      base: '',
    }),
    from: '0u',
    to: split ? 'select(0u, R, part == 0u)' : 'R',
    length: rank,
    lengthName: 'R',
  };
}

function bindTarget(
  shader: Shader,
  { n, out, addend, scale, batch }: Product,
  { workspace, split }: { workspace: Slice | undefined; split: boolean },
): OutputTile {
  const vector = n % 4 === 0;
  const type = vector ? 'vec4<f32>' : 'f32';
  if (split) {
    if (workspace === undefined) throw new TypeError('split K without workspace');
    const name = shader.write('partial', workspace, type);
    return { name, vector, base: '(part * BATCH + batch) * M * N', times: '', addend: undefined };
  }
  const name = shader.write('c', out, type);
  const base = stride(batch, 'M * N');
  const times = scale === undefined ? '' : ` * ${shader.scalar('scale', scale)}`;
  if (addend === undefined) return { name, vector, base, times, addend };
  return {
    name,
    vector,
    base,
    times,
    addend: { name: shader.read('addend', addend.value, type), kind: addend.kind, base },
  };
}

function bindWeight(shader: Shader, { b, encoding, batch, k, n, transposeB }: Product, table: TablePlace): Matrix {
  const lay = { name: 'b', innerName: transposeB ? 'K' : 'N', alongInner: transposeB };
  if (encoding !== undefined) return bindEncodedMatrix(shader, { ...lay, parts: b, encoding, table });
  return bindMatrix(shader, {
    ...lay,
    slice: b[0],
    dtype: b[0].dtype,
    inner: transposeB ? k : n,
    base: stride(batch, 'N * K'),
  });
}

function stride(batch: number, elements: string): string {
  return batch === 1 ? '' : `batch * ${elements}`;
}

/** WGSL that stores four neighbouring results `value` (a vec4) at (row, col) with bounds checks against m and n. */
export function storeFour(
  target: OutputTile,
  { row, col, value }: { row: string; col: string; value: string },
): string {
  const place = (base: string): string => `${base === '' ? '' : `${base} + `}${row} * N + ${col}`;
  const at = place(target.base);
  const { addend } = target;
  const from = addend?.kind === 'row' ? col : place(addend?.base ?? '');
  if (target.vector) {
    const plus = addend === undefined ? '' : ` + ${addend.name}[(${from}) / 4u]`;
    return `if (${col} < N) { ${target.name}[(${at}) / 4u] = ${value}${target.times}${plus}; }`;
  }
  return [0, 1, 2, 3]
    .map((lane) => {
      const plus = addend === undefined ? '' : ` + ${addend.name}[${from} + ${lane}u]`;
      const result = `(${value})[${lane}]${target.times}${plus}`;
      return `if (${col} + ${lane}u < N) { ${target.name}[${at} + ${lane}u] = ${result}; }`;
    })
    .join('\n    ');
}
