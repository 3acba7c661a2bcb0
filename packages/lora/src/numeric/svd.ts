import { LowrankError } from '@lowrank/errors';
import { Rng } from '@lowrank/tensor';

/** Options of `truncatedSvd`. */
export interface SvdOptions {
  readonly rows: number;
  readonly columns: number;
  /** Singular values wanted: at most min(rows, columns). */
  readonly rank: number;
  /** Steps of the randomized method; without them the result is exact. */
  readonly iterations?: number | undefined;
  /** Of the randomized method. */
  readonly seed?: number | undefined;
}

/**
 * The best approximation of a rank: A ≈ U·diag(s)·Vᵀ. Vectors that belong to a singular value of 0 are 0 on one side.
 */
export interface TruncatedSvd {
  /** `[rank, rows]`: left singular vectors, one after the other. */
  readonly u: Float64Array;
  /** [rank], descending. */
  readonly s: Float64Array;
  /** `[rank, columns]`: right singular vectors, one after the other. */
  readonly v: Float64Array;
}

/** Vectors of one length, one after the other. */
interface Vectors {
  readonly data: Float64Array;
  readonly count: number;
  readonly length: number;
}

type Values = Float32Array | Float64Array;

/** Vectors beyond the rank that the randomized method carries along. */
const oversampling = 8;

/**
 * Truncated singular value decomposition in f64.
 *
 * Exact: one-sided Jacobi rotations of columns (Hestenes 1958), O(min² · max) for each of about ten sweeps: for
 * hundreds of columns. Randomized: block Krylov iteration (Musco and Musco 2015) on a space of (iterations + 1)·(rank +
 * 8) dimensions, O(iterations · rank · rows · columns): for thousands. The space grows with each step, so that flat
 * spectra, as of what quantization leaves, converge too.
 *
 * @param matrix [rows, columns], row-major
 * @throws LowrankError `lora.svd`
 */
export function truncatedSvd(matrix: Values, options: SvdOptions): TruncatedSvd {
  const { rows, columns, rank, iterations, seed = 0 } = options;
  const fits =
    Number.isInteger(rank) && rank > 0 && rank <= Math.min(rows, columns) && matrix.length === rows * columns;
  if (!fits)
    throw new LowrankError({
      code: 'lora.svd',
      what: `a decomposition of [${rows}, ${columns}]`,
      expected: `${rows * columns} numbers and a rank from 1 to ${Math.min(rows, columns)}`,
      got: `${matrix.length} and ${rank}`,
    });
  if (!matrix.every(Number.isFinite))
    throw new LowrankError({
      code: 'lora.svd',
      what: `a matrix [${rows}, ${columns}] to decompose`,
      expected: 'finite numbers',
      got: 'NaN or infinity',
    });
  if (iterations === undefined) return exactSvd(matrix, options);
  const width = Math.min(rank + oversampling, rows, columns);
  const basis = krylovBasis(matrix, { rows, columns, width, iterations, seed });
  // A ≈ K·(KᵀA): the small factor is decomposed exactly, and its left vectors are turned back.
  const small = timesTransposed(matrix, basis, columns);
  const found = exactSvd(small.data, { rows: small.count, columns, rank: Math.min(rank, small.count) });
  // The basis of a matrix of lower rank may be smaller than requested: the rest is 0.
  const [u, s, v] = [new Float64Array(rank * rows), new Float64Array(rank), new Float64Array(rank * columns)];
  u.set(combine(found.u, basis, found.s.length));
  s.set(found.s);
  v.set(found.v);
  return { u, s, v };
}

function exactSvd(matrix: Values, { rows, columns, rank }: SvdOptions): TruncatedSvd {
  const tall = rows >= columns;
  // The shorter side's vectors are turned until they are orthogonal; then their lengths are the singular values.
  const turned: Vectors = {
    data: tall ? transposed(matrix, rows, columns) : Float64Array.from(matrix),
    count: tall ? columns : rows,
    length: tall ? rows : columns,
  };
  const lengths = orthogonalize(turned);
  const order = Array.from(lengths.keys())
    .sort((a, b) => lengths[b] - lengths[a])
    .slice(0, rank);
  const long = new Float64Array(rank * turned.length);
  order.forEach((from, at) => {
    const scale = lengths[from];
    if (scale > 0)
      for (let i = 0; i < turned.length; i++)
        long[at * turned.length + i] = turned.data[from * turned.length + i] / scale;
  });
  const s = Float64Array.from(order, (from) => lengths[from]);
  // The other side from A itself: v = Aᵀu / s, or u = A·v / s.
  const vectors: Vectors = { data: long, count: rank, length: turned.length };
  const { data: short } = tall ? timesTransposed(matrix, vectors, columns) : times(matrix, vectors, rows);
  const width = short.length / rank;
  for (let i = 0; i < short.length; i++)
    short[i] = s[Math.floor(i / width)] > 0 ? short[i] / s[Math.floor(i / width)] : 0;
  return tall ? { u: long, s, v: short } : { u: short, s, v: long };
}

/** Rotates pairs of vectors until all are orthogonal to working precision; returns their lengths. */
function orthogonalize({ data, count, length }: Vectors): Float64Array {
  const squares = new Float64Array(count);
  for (let sweep = 0, turned = true; turned && sweep < 60; sweep++) {
    turned = false;
    for (let i = 0; i < count; i++) squares[i] = dot(data, { a: i * length, b: i * length, length });
    for (let p = 0; p < count - 1; p++) {
      for (let q = p + 1; q < count; q++) {
        const product = dot(data, { a: p * length, b: q * length, length });
        const [alpha, beta] = [squares[p], squares[q]];
        if (!(Math.abs(product) > 1e-15 * Math.sqrt(alpha * beta))) continue;
        turned = true;
        const zeta = (beta - alpha) / (2 * product);
        const tangent = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
        rotate(data, { a: p * length, b: q * length, length }, tangent);
        squares[p] = alpha - tangent * product;
        squares[q] = beta + tangent * product;
      }
    }
  }
  return Float64Array.from({ length: count }, (_, i) => Math.sqrt(dot(data, { a: i * length, b: i * length, length })));
}

/** Where two vectors of a length begin. */
interface Pair {
  readonly a: number;
  readonly b: number;
  readonly length: number;
}

function dot(data: Float64Array, { a, b, length }: Pair): number {
  // Two sums, so that one addition need not wait for the other.
  let [even, odd] = [0, 0];
  let i = 0;
  for (; i + 1 < length; i += 2) {
    even += data[a + i] * data[b + i];
    odd += data[a + i + 1] * data[b + i + 1];
  }
  if (i < length) even += data[a + i] * data[b + i];
  return even + odd;
}

function rotate(data: Float64Array, { a, b, length }: Pair, tangent: number): void {
  const cosine = 1 / Math.sqrt(1 + tangent * tangent);
  const sine = cosine * tangent;
  for (let i = 0; i < length; i++) {
    const [x, y] = [data[a + i], data[b + i]];
    data[a + i] = cosine * x - sine * y;
    data[b + i] = sine * x + cosine * y;
  }
}

interface KrylovOptions {
  readonly rows: number;
  readonly columns: number;
  readonly width: number;
  readonly iterations: number;
  readonly seed: number;
}

/** An orthonormal basis of the columns of [AΩ, (AAᵀ)AΩ, …, (AAᵀ)^iterations AΩ], Ω random. */
function krylovBasis(matrix: Values, { rows, columns, width, iterations, seed }: KrylovOptions): Vectors {
  const rng = new Rng(seed, 0x5fd);
  const room = Math.min(width * (iterations + 1), rows, columns);
  const data = new Float64Array(room * rows);
  let count = 0;
  let block: Vectors = {
    data: Float64Array.from({ length: width * columns }, () => rng.normal()),
    count: width,
    length: columns,
  };
  for (let step = 0; step <= iterations && count < room && block.count > 0; step++) {
    const image = times(matrix, step === 0 ? block : timesTransposed(matrix, block, columns), rows);
    const first = count;
    for (let j = 0; j < image.count && count < room; j++) {
      data.set(image.data.subarray(j * rows, (j + 1) * rows), count * rows);
      if (normalized(data, count, rows)) count++;
    }
    block = { data: data.slice(first * rows, count * rows), count: count - first, length: rows };
  }
  return { data: data.subarray(0, count * rows), count, length: rows };
}

/**
 * Makes the last of some vectors orthogonal to those before it, and of length 1; false where nothing new is left of it.
 */
function normalized(data: Float64Array, at: number, length: number): boolean {
  const a = at * length;
  const before = Math.sqrt(dot(data, { a, b: a, length }));
  // Twice: the second pass removes what rounding left in the first.
  for (let pass = 0; pass < 2; pass++) {
    for (let other = 0; other < at; other++) {
      const b = other * length;
      const part = dot(data, { a, b, length });
      for (let i = 0; i < length; i++) data[a + i] -= part * data[b + i];
    }
  }
  const size = Math.sqrt(dot(data, { a, b: a, length }));
  if (!(size > 1e-13 * before)) return false;
  for (let i = 0; i < length; i++) data[a + i] /= size;
  return true;
}

/** A·x for each vector x [columns] → [rows]. */
function times(matrix: Values, { data, count, length }: Vectors, rows: number): Vectors {
  const result = new Float64Array(count * rows);
  for (let row = 0; row < rows; row++) {
    const a = row * length;
    for (let j = 0; j < count; j++) {
      const b = j * length;
      let sum = 0;
      for (let i = 0; i < length; i++) sum += matrix[a + i] * data[b + i];
      result[j * rows + row] = sum;
    }
  }
  return { data: result, count, length: rows };
}

/** Aᵀ·x for each vector x [rows] → [columns]. */
function timesTransposed(matrix: Values, { data, count, length }: Vectors, columns: number): Vectors {
  const result = new Float64Array(count * columns);
  for (let row = 0; row < length; row++) {
    const a = row * columns;
    for (let j = 0; j < count; j++) {
      const factor = data[j * length + row];
      const b = j * columns;
      for (let i = 0; i < columns; i++) result[b + i] += factor * matrix[a + i];
    }
  }
  return { data: result, count, length: columns };
}

/** Σ over the basis of coefficient × vector, for each of `rank` lists of coefficients. */
function combine(coefficients: Float64Array, { data, count, length }: Vectors, rank: number): Float64Array {
  const result = new Float64Array(rank * length);
  for (let k = 0; k < rank; k++) {
    for (let j = 0; j < count; j++) {
      const factor = coefficients[k * count + j];
      for (let i = 0; i < length; i++) result[k * length + i] += factor * data[j * length + i];
    }
  }
  return result;
}

function transposed(matrix: Values, rows: number, columns: number): Float64Array {
  const result = new Float64Array(matrix.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) result[column * rows + row] = matrix[row * columns + column];
  return result;
}
