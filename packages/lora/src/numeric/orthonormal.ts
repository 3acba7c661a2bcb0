/**
 * The first `count` columns of a matrix [rows, columns], made orthonormal one after the other (Gram–Schmidt, twice): Q
 * of its QR decomposition, [rows, count]. A column that depends on those before it becomes 0.
 */
export function orthonormalColumns(matrix: ArrayLike<number>, columns: number, count: number): Float64Array {
  const rows = matrix.length / columns;
  const q = new Float64Array(rows * count);
  for (let k = 0; k < count; k++) {
    let before = 0;
    for (let row = 0; row < rows; row++) {
      const value = matrix[row * columns + k];
      q[row * count + k] = value;
      before += value * value;
    }
    for (let pass = 0; pass < 2; pass++) {
      for (let other = 0; other < k; other++) {
        let part = 0;
        for (let row = 0; row < rows; row++) part += q[row * count + k] * q[row * count + other];
        for (let row = 0; row < rows; row++) q[row * count + k] -= part * q[row * count + other];
      }
    }
    let size = 0;
    for (let row = 0; row < rows; row++) size += q[row * count + k] ** 2;
    const factor = size > 1e-24 * before ? 1 / Math.sqrt(size) : 0;
    for (let row = 0; row < rows; row++) q[row * count + k] *= factor;
  }
  return q;
}
