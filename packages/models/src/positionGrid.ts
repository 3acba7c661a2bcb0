/** PyTorch's: of the cubic convolution that OpenCV uses as well. */
const a = -0.75;

/** Weights of the four neighbours of a point that lies `t` after the second. */
function cubic(t: number): [number, number, number, number] {
  const near = (x: number): number => ((a + 2) * x - (a + 3)) * x * x + 1;
  const far = (x: number): number => ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return [far(t + 1), near(t), near(1 - t), far(2 - t)];
}

/** [to, from]: what each point of a line takes of the points of another one. */
function lineWeights(from: number, to: number): Float64Array {
  const weights = new Float64Array(to * from);
  for (let at = 0; at < to; at++) {
    const place = ((at + 0.5) * from) / to - 0.5;
    const whole = Math.floor(place);
    cubic(place - whole).forEach((weight, tap) => {
      const source = Math.min(from - 1, Math.max(0, whole - 1 + tap));
      weights[at * from + source] = (weights[at * from + source] ?? 0) + weight;
    });
  }
  return weights;
}

/**
 * A square grid of values as another grid: bicubic as `torch.nn.functional.interpolate(mode='bicubic',
 * align_corners=False)`, edges repeated. Row-major [rows·columns, side·side], to be multiplied by the grid's values.
 */
export function bicubicWeights(side: number, [rows, columns]: readonly [rows: number, columns: number]): Float32Array {
  const [down, across] = [lineWeights(side, rows), lineWeights(side, columns)];
  const weights = new Float32Array(rows * columns * side * side);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      for (let y = 0; y < side; y++)
        for (let x = 0; x < side; x++)
          weights[((row * columns + column) * side + y) * side + x] =
            (down[row * side + y] ?? 0) * (across[column * side + x] ?? 0);
  return weights;
}
