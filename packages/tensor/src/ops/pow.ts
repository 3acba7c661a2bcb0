import { signature } from '../arguments.js';
import type { Tensor } from '../graph.js';
import { aTensor, aTensorLike } from '../tensorKinds.js';
import { withGradient } from './custom.js';
import type { TensorLike } from './elementwise.js';
import { div, exp, full, log, mul, rsqrt, sqrt, square } from './elementwise.js';

const checkPow = signature('pow', { x: aTensor, exponent: aTensorLike });

/** Up to here powers are products, which are exact for any sign of x; beyond, e^(y·log x) is as good and shorter. */
const largestProduct = 64;

/**
 * x^y, element by element, as torch.pow. An integer y up to 64 in magnitude is computed by repeated squaring, for x of
 * any sign; any other as e^(y·log x), which is NaN for negative x. dL/dx = g·y·x^(y−1); a Tensor or Scalar as y gets
 * g·x^y·log x.
 */
export function pow(x: Tensor, exponent: TensorLike): Tensor {
  checkPow(x, exponent);
  if (typeof exponent !== 'number') return exp(mul(log(x), exponent));
  return withGradient(power(x, exponent), [x], (g, [needed]) => [
    needed === true && exponent !== 0 ? mul(g, mul(pow(x, exponent - 1), exponent)) : undefined,
  ]);
}

function power(x: Tensor, y: number): Tensor {
  if (y === 0) return full(x.shape, 1);
  if (y === 0.5) return sqrt(x);
  if (y === -0.5) return rsqrt(x);
  if (!Number.isInteger(y) || Math.abs(y) > largestProduct) return exp(mul(log(x), y));
  return y < 0 ? div(1, wholePower(x, -y)) : wholePower(x, y);
}

/** x^n for a whole n ≥ 1: about 2·log₂ n products. */
function wholePower(x: Tensor, n: number): Tensor {
  if (n === 1) return x;
  const half = square(n < 4 ? x : wholePower(x, Math.floor(n / 2)));
  return n % 2 === 0 ? half : mul(half, x);
}
