/**
 * Φ(x) = ½·erfc(−x/√2) in double precision, to 3e-13 of the smaller tail: the series erf z = 2/√π·e^(−z²)·Σ
 * 2ⁿz²ⁿ⁺¹/(2n+1)!! near 0, the continued fraction erfc z = e^(−z²)/√π · 1/(z + ½/(z + 1/(z + 3⁄2/(z + …)))) beyond
 * (Abramowitz & Stegun 7.1.6, 7.1.14).
 */
export function normalCdfOf(x: number): number {
  const z = Math.abs(x) / Math.SQRT2;
  const tail = z < 2 ? 0.5 - smallErf(z) / 2 : largeErfc(z) / 2;
  return x < 0 ? tail : 1 - tail;
}

function smallErf(z: number): number {
  let [term, total] = [z, z];
  for (let n = 1; term > total * 1e-17; n++) {
    term *= (2 * z * z) / (2 * n + 1);
    total += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-z * z) * total;
}

function largeErfc(z: number): number {
  // e^(−z²) is 0 there, and ∞·0 would not be.
  if (z > 30) return 0;
  let fraction = z;
  for (let n = 80; n >= 1; n--) fraction = z + n / 2 / fraction;
  return Math.exp(-z * z) / Math.sqrt(Math.PI) / fraction;
}
