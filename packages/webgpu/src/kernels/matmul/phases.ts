import type { LeftForm } from '@lowrank/tensor/op';
import type { Shader } from '../../shader.js';
import type { TablePlace } from './codes.js';
import { bindEncodedMatrix, bindMatrix } from './operands.js';
import type { Matrix } from './operands.js';
import type { Factors, Product } from './product.js';

/** How the left operand is made of itself and another matrix, or of a row that all its rows share. */
type MadeLeft = LeftForm & { readonly beside: Matrix };

/** One contraction of a product: each of its products, and each one's low-rank part, into the same accumulators. */
export interface Phase {
  readonly left: Matrix;
  /** What the left operand is made with. */
  readonly made?: MadeLeft | undefined;
  readonly right: Matrix;
  /** Of two products side by side, the halves of a tile's columns: the right operand of the second. */
  readonly beside?: Matrix | undefined;
  /** Of two products side by side, the one that this is of alone. */
  readonly half?: 0 | 1 | undefined;
  /** WGSL expressions of the range of k. */
  readonly from: string;
  readonly to: string;
  /** Elements of k, when the range is known: a multiple of 4 needs no tail. */
  readonly length: number;
  readonly lengthName: string;
}

/** How the phases of a product are bound. */
interface PhaseOptions {
  readonly table: TablePlace;
  /** K is split: each part of the launch has a range of it, and the first the low-rank part. */
  readonly split: boolean;
}

/** Binds what a product reads: its phases, in order. */
export function bindPhases(shader: Shader, product: Product, options: PhaseOptions): Phase[] {
  const terms = [product, ...product.further].map((factors, at) =>
    bindTerm(shader, { product, factors, at: at === 0 ? '' : `${at}` }, options),
  );
  const [first, second] = terms;
  if (product.epilogue?.form !== 'swiglu' || first === undefined || second === undefined)
    return terms.flatMap(({ main, thin }) => [main, ...thin]);
  const halves = [first, second].flatMap(({ thin }, half) =>
    thin.map((phase) => ({ ...phase, half: half === 0 ? 0 : 1 }) as const),
  );
  return [{ ...first.main, beside: second.main.right }, ...halves];
}

interface Term {
  readonly product: Product;
  readonly factors: Factors;
  /** What its names end in. */
  readonly at: string;
}

function bindTerm(shader: Shader, term: Term, { table, split }: PhaseOptions): { main: Phase; thin: Phase[] } {
  const { product, factors, at } = term;
  const { k, a, transposeA, lowRank } = factors;
  const { batch, m, made } = product;
  const lengthName = `K${at}`;
  const left = bindMatrix(shader, {
    name: `a${at}`,
    slice: a,
    dtype: a.dtype,
    inner: transposeA ? m : k,
    innerName: transposeA ? 'M' : lengthName,
    alongInner: !transposeA,
    base: stride(batch, 'M * K'),
  });
  const own = at === '' && made !== undefined ? bindMade(shader, made, k) : undefined;
  const right = bindWeight(shader, term, table);
  const range = split ? { from: 'part * KPART', to: 'min(part * KPART + KPART, K)' } : { from: '0u', to: lengthName };
  const main = { left, made: own, right, ...range, length: k, lengthName };
  return { main, thin: lowRank === undefined ? [] : [lowRankPhase(shader, { ...term, lowRank }, split)] };
}

function bindMade(shader: Shader, { beside, ...form }: NonNullable<Product['made']>, k: number): MadeLeft {
  const { dtype } = beside;
  const lay = { inner: k, innerName: 'K', alongInner: true, base: '' };
  return { ...form, beside: bindMatrix(shader, { name: 'beside', slice: beside, dtype, ...lay }) };
}

/** The epilogue h·u, into the same sums. With split K the first part adds it. */
function lowRankPhase(
  shader: Shader,
  { product: { n, batch }, at, lowRank }: Term & { readonly lowRank: NonNullable<Factors['lowRank']> },
  split: boolean,
): Phase {
  const { h, u, rank, transposeU } = lowRank;
  const lengthName = `R${at}`;
  return {
    left: bindMatrix(shader, {
      name: `h${at}`,
      slice: h,
      dtype: h.dtype,
      inner: rank,
      innerName: lengthName,
      alongInner: true,
      base: stride(batch, 'M * R'),
    }),
    right: bindMatrix(shader, {
      name: `u${at}`,
      slice: u,
      dtype: u.dtype,
      inner: transposeU ? rank : n,
      innerName: transposeU ? lengthName : 'N',
      alongInner: transposeU,
      base: '',
    }),
    from: '0u',
    to: split ? `select(0u, ${lengthName}, part == 0u)` : lengthName,
    length: rank,
    lengthName,
  };
}

function bindWeight(shader: Shader, { product: { batch, n }, factors, at }: Term, table: TablePlace): Matrix {
  const { b, encoding, k, transposeB } = factors;
  const lay = { name: `b${at}`, innerName: transposeB ? `K${at}` : 'N', alongInner: transposeB };
  if (encoding !== undefined) return bindEncodedMatrix(shader, { ...lay, parts: b, encoding, table });
  return bindMatrix(shader, {
    ...lay,
    slice: b[0],
    dtype: b[0].dtype,
    inner: transposeB ? k : n,
    base: stride(batch, 'N * K'),
  });
}

/** WGSL of where a batch entry of so many elements begins; empty where there is one. */
export function stride(batch: number, elements: string): string {
  return batch === 1 ? '' : `batch * ${elements}`;
}
