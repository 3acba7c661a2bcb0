const [side, box] = [28, 20];

/**
 * A drawing as MNIST has digits: its ink fitted into 20 × 20, and that laid so that its centre of mass is in the middle
 * of 28 × 28. Undefined where there is no ink.
 *
 * @param ink of each point of a square, 0 to 255, row by row
 */
export function centred(ink: ArrayLike<number>, width: number): Uint8Array | undefined {
  let [left, top, right, bottom] = [width, width, -1, -1];
  for (let at = 0; at < width * width; at++) {
    if ((ink[at] ?? 0) < 32) continue;
    const [x, y] = [at % width, Math.floor(at / width)];
    [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x), Math.max(bottom, y)];
  }
  if (right < 0) return undefined;
  const scale = Math.max(right - left + 1, bottom - top + 1) / box;
  const small = new Float64Array(box * box);
  let [mass, sumX, sumY] = [0, 0, 0];
  for (let y = 0; y < box; y++)
    for (let x = 0; x < box; x++) {
      const value = meanOf(ink, width, [left + x * scale, top + y * scale, scale]);
      small[y * box + x] = value;
      [mass, sumX, sumY] = [mass + value, sumX + value * x, sumY + value * y];
    }
  /** Where the box begins, with all of the ink inside. */
  const place = (sum: number, extent: number): number =>
    Math.min(side - Math.ceil(extent / scale), Math.max(0, Math.round(side / 2 - 0.5 - sum / mass)));
  const [dx, dy] = [place(sumX, right - left + 1), place(sumY, bottom - top + 1)];
  const out = new Uint8Array(side * side);
  small.forEach((value, at) => {
    const [x, y] = [(at % box) + dx, Math.floor(at / box) + dy];
    // A box that sticks out has no ink there.
    if (x < side && y < side) out[y * side + x] = Math.round(value);
  });
  return out;
}

/** The mean ink of a square whose corner is at (x, y); nothing is outside the drawing. */
function meanOf(ink: ArrayLike<number>, width: number, [x, y, size]: readonly [number, number, number]): number {
  const steps = Math.max(1, Math.ceil(size));
  let sum = 0;
  for (let row = 0; row < steps; row++)
    for (let column = 0; column < steps; column++) {
      const [px, py] = [Math.floor(x + ((column + 0.5) * size) / steps), Math.floor(y + ((row + 0.5) * size) / steps)];
      sum += px < width && py < width ? (ink[py * width + px] ?? 0) : 0;
    }
  return sum / steps ** 2;
}
