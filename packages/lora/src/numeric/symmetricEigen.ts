import { Rng } from '@lowrank/tensor';

/** Eigenvalues of a symmetric matrix, and their vectors. */
export interface LeadingEigen {
  /** [rank], descending */
  readonly values: Float64Array;
  /** [rank, size]: of length 1, orthogonal, one after the other. */
  readonly vectors: Float64Array;
}

export interface EigenOptions {
  readonly size: number;
  /** Eigenvalues wanted. */
  readonly rank: number;
}

/** Beyond so many rows only a Krylov space is decomposed, of so many blocks. */
const largestExact = 512;
const blocks = 8;
/** Vectors of a block beyond the rank. */
const oversampling = 8;

/**
 * Eigenvectors of a symmetric matrix without negative eigenvalues, in f64. Up to 512 rows exactly: Householder's
 * tridiagonal form and implicit QL steps (Bowdler, Martin, Reinsch and Wilkinson 1968), O(size³). Beyond that by
 * Rayleigh and Ritz in a block Krylov space of 8·(rank + 8) dimensions (Musco and Musco 2015), O(8 · size² · rank).
 *
 * @param matrix [size, size]
 */
export function leadingEigen(matrix: Float32Array, { size, rank }: EigenOptions): LeadingEigen {
  if (size <= Math.max(largestExact, blocks * (rank + oversampling)))
    return leading(eigen(Float64Array.from(matrix), size), size, rank);
  const { basis, images, count } = krylov(matrix, size, rank + oversampling);
  // The matrix as the space sees it.
  const small = new Float64Array(count * count);
  for (let i = 0; i < count; i++)
    for (let j = 0; j <= i; j++)
      small[i * count + j] = small[j * count + i] = dot(at(basis, i, size), at(images, j, size));
  const { values, vectors } = leading(eigen(small, count), count, rank);
  const turned = new Float64Array(rank * size);
  for (let k = 0; k < rank; k++)
    for (let j = 0; j < count; j++) addScaled(at(turned, k, size), at(basis, j, size), vectors[k * count + j]);
  return { values, vectors: turned };
}

/**
 * The smallest eigenvalues, and their vectors, exactly, in O(size³): of a symmetric matrix without negative ones.
 *
 * @param matrix [size, size]; overwritten
 */
export function trailingEigen(matrix: Float64Array, { size, rank }: EigenOptions): LeadingEigen {
  const { values, vectors } = leading(eigen(matrix, size), size, size);
  return { values: values.subarray(size - rank), vectors: vectors.subarray((size - rank) * size) };
}

function leading(
  { values, vectors }: { values: Float64Array; vectors: Float64Array },
  size: number,
  rank: number,
): LeadingEigen {
  const order = Array.from(values.keys())
    .sort((a, b) => values[b] - values[a])
    .slice(0, rank);
  const kept = new Float64Array(rank * size);
  order.forEach((from, to) => kept.set(at(vectors, from, size), to * size));
  // Rounding may take a value that is nearly 0 below it.
  return { values: Float64Array.from(order, (from) => Math.max(0, values[from])), vectors: kept };
}

/** An orthonormal basis of [X, MX, M²X, …], X random, and M times each of its vectors. */
function krylov(
  matrix: Float32Array,
  size: number,
  width: number,
): { basis: Float64Array; images: Float64Array; count: number } {
  const rng = new Rng(0, 0xe16);
  const [basis, images] = [new Float64Array(blocks * width * size), new Float64Array(blocks * width * size)];
  let [count, from] = [0, 0];
  for (let block = 0; block < blocks; block++) {
    const end = count;
    for (let j = 0; j < (block === 0 ? width : end - from); j++) {
      at(basis, count, size).set(
        block === 0 ? Float64Array.from({ length: size }, () => rng.normal()) : at(images, from + j, size),
      );
      if (normalized(basis, count, size)) count++;
    }
    from = end;
    if (from === count) break;
    multiply(matrix, { basis, images, from, to: count, size });
  }
  return { basis, images, count };
}

/** Images of some of the basis. */
function multiply(
  matrix: Float32Array,
  {
    basis,
    images,
    from,
    to,
    size,
  }: { basis: Float64Array; images: Float64Array; from: number; to: number; size: number },
): void {
  const row = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    row.set(matrix.subarray(i * size, (i + 1) * size));
    for (let k = from; k < to; k++) images[k * size + i] = dot(row, at(basis, k, size));
  }
}

/**
 * Makes the last vector of a basis orthogonal to those before it, and of length 1; false where nothing new is left of
 * it.
 */
function normalized(basis: Float64Array, last: number, size: number): boolean {
  const own = at(basis, last, size);
  const before = Math.sqrt(dot(own, own));
  // Twice: the second pass removes what rounding left in the first.
  for (let pass = 0; pass < 2; pass++) {
    for (let k = 0; k < last; k++) {
      const other = at(basis, k, size);
      addScaled(own, other, -dot(own, other));
    }
  }
  const length = Math.sqrt(dot(own, own));
  if (!(length > 1e-10 * before)) return false;
  for (let i = 0; i < size; i++) own[i] /= length;
  return true;
}

function dot(x: Float64Array, y: Float64Array): number {
  // Two sums, so that one addition need not wait for the other.
  let [even, odd] = [0, 0];
  let i = 0;
  for (; i + 1 < x.length; i += 2) {
    even += x[i] * y[i];
    odd += x[i + 1] * y[i + 1];
  }
  return i < x.length ? even + odd + x[i] * y[i] : even + odd;
}

function addScaled(target: Float64Array, source: Float64Array, factor: number): void {
  for (let i = 0; i < target.length; i++) target[i] += factor * source[i];
}

/** One of some vectors that lie one after the other. */
function at(vectors: Float64Array, index: number, size: number): Float64Array {
  return vectors.subarray(index * size, (index + 1) * size);
}

/** All eigenvalues of a symmetric matrix, and their vectors one after the other in its place. */
function eigen(v: Float64Array, n: number): { values: Float64Array; vectors: Float64Array } {
  const [d, e] = [new Float64Array(n), new Float64Array(n)];
  tridiagonalize(v, d, e);
  diagonalize(v, d, e);
  return { values: d, vectors: v };
}

/**
 * Householder's reduction (EISPACK's tred2): d the diagonal, e below it, v what turns back, one vector after the other.
 */
function tridiagonalize(v: Float64Array, d: Float64Array, e: Float64Array): void {
  const n = d.length;
  for (let j = 0; j < n; j++) d[j] = v[j * n + n - 1];
  for (let i = n - 1; i > 0; i--) {
    let [scale, h] = [0, 0];
    for (let k = 0; k < i; k++) scale += Math.abs(d[k]);
    if (scale === 0) {
      e[i] = d[i - 1];
      for (let j = 0; j < i; j++) {
        d[j] = v[j * n + i - 1];
        v[j * n + i] = v[i * n + j] = 0;
      }
    } else {
      for (let k = 0; k < i; k++) {
        d[k] /= scale;
        h += d[k] ** 2;
      }
      const last = d[i - 1];
      const root = last > 0 ? -Math.sqrt(h) : Math.sqrt(h);
      e[i] = scale * root;
      h -= last * root;
      d[i - 1] = last - root;
      reflect(v, d, e, { i, h });
    }
    d[i] = h;
  }
  accumulate(v, d);
  e[0] = 0;
}

/** One similarity transformation of the leading i rows. */
function reflect(v: Float64Array, d: Float64Array, e: Float64Array, { i, h }: { i: number; h: number }): void {
  const n = d.length;
  e.fill(0, 0, i);
  for (let j = 0; j < i; j++) {
    const f = d[j];
    v[i * n + j] = f;
    let g = e[j] + v[j * n + j] * f;
    for (let k = j + 1; k < i; k++) {
      g += v[j * n + k] * d[k];
      e[k] += v[j * n + k] * f;
    }
    e[j] = g;
  }
  let f = 0;
  for (let j = 0; j < i; j++) {
    e[j] /= h;
    f += e[j] * d[j];
  }
  const half = f / (h + h);
  for (let j = 0; j < i; j++) e[j] -= half * d[j];
  for (let j = 0; j < i; j++) {
    const [p, q] = [d[j], e[j]];
    for (let k = j; k < i; k++) v[j * n + k] -= p * e[k] + q * d[k];
    d[j] = v[j * n + i - 1];
    v[j * n + i] = 0;
  }
}

function accumulate(v: Float64Array, d: Float64Array): void {
  const n = d.length;
  for (let i = 0; i < n - 1; i++) {
    v[i * n + n - 1] = v[i * n + i];
    v[i * n + i] = 1;
    const h = d[i + 1];
    const next = (i + 1) * n;
    if (h !== 0) {
      for (let k = 0; k <= i; k++) d[k] = v[next + k] / h;
      const turn = v.subarray(next, next + i + 1);
      for (let j = 0; j <= i; j++) {
        const column = v.subarray(j * n, j * n + i + 1);
        addScaled(column, d, -dot(turn, column));
      }
    }
    v.fill(0, next, next + i + 1);
  }
  for (let j = 0; j < n; j++) {
    d[j] = v[j * n + n - 1];
    v[j * n + n - 1] = 0;
  }
  v[n * n - 1] = 1;
}

/** Implicit QL steps (EISPACK's tql2). */
function diagonalize(v: Float64Array, d: Float64Array, e: Float64Array): void {
  const n = d.length;
  e.copyWithin(0, 1);
  e[n - 1] = 0;
  let [shift, largest] = [0, 0];
  for (let l = 0; l < n; l++) {
    largest = Math.max(largest, Math.abs(d[l]) + Math.abs(e[l]));
    let m = l;
    while (m < n - 1 && Math.abs(e[m]) > 2 ** -52 * largest) m++;
    for (let round = 0; m > l && round < 60; round++) {
      shift += step(v, d, e, { l, m });
      if (!(Math.abs(e[l]) > 2 ** -52 * largest)) break;
    }
    d[l] += shift;
    e[l] = 0;
  }
}

/** One QL step of rows l to m; what it takes off all that follows. */
function step(v: Float64Array, d: Float64Array, e: Float64Array, { l, m }: { l: number; m: number }): number {
  const n = d.length;
  const [first, below] = [d[l], e[l]];
  const slope = (d[l + 1] - first) / (2 * below);
  const root = slope < 0 ? -Math.sqrt(slope * slope + 1) : Math.sqrt(slope * slope + 1);
  d[l] = below / (slope + root);
  d[l + 1] = below * (slope + root);
  const second = d[l + 1];
  const shift = first - d[l];
  for (let i = l + 2; i < n; i++) d[i] -= shift;
  let p = d[m];
  let [c, c2, c3, s, s2] = [1, 1, 1, 0, 0];
  const secondBelow = e[l + 1];
  for (let i = m - 1; i >= l; i--) {
    [c3, c2, s2] = [c2, c, s];
    const ei = e[i];
    const [g, h] = [c * ei, c * p];
    const r = Math.sqrt(p * p + ei * ei);
    e[i + 1] = s * r;
    s = ei / r;
    c = p / r;
    p = c * d[i] - s * g;
    d[i + 1] = h + s * (c * g + s * d[i]);
    const [low, high] = [i * n, (i + 1) * n];
    for (let k = 0; k < n; k++) {
      const [x, y] = [v[low + k], v[high + k]];
      v[high + k] = s * x + c * y;
      v[low + k] = c * x - s * y;
    }
  }
  p = (-s * s2 * c3 * secondBelow * e[l]) / second;
  e[l] = s * p;
  d[l] = c * p;
  return shift;
}
