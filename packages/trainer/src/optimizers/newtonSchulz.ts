import type { Tensor } from '@lowrank/tensor';
import { add, div, matmul, maximum, mul, sqrt, square, sum } from '@lowrank/tensor';

/** Keller Jordan's coefficients of the quintic, as torch.optim.Muon has them. */
const [a, b, c] = [3.4445, -4.775, 2.0315] as const;

/** Of the divisor. */
const epsilon = 1e-7;

/**
 * A matrix with the singular vectors of x [m, n] and singular values near 1 (0.7 to 1.2): five iterations of
 * X ← aX + (bXXᵀ + c(XXᵀ)²)X from X = x/max(‖x‖, 1e-7). As `torch.optim._muon._zeropower_via_newtonschulz`, but in f32
 * where that computes in bf16.
 */
export function newtonSchulz(x: Tensor, iterations = 5): Tensor {
  const [rows = 1, columns = 1] = x.shape;
  const isTall = rows > columns;
  let value = div(x, maximum(sqrt(sum(square(x))), epsilon));
  for (let at = 0; at < iterations; at++) {
    // The smaller of XXᵀ and XᵀX; both are symmetric, and lead to the same X.
    const gram = matmul(value, value, isTall ? { transposeA: true } : { transposeB: true });
    const update = add(mul(gram, b), mul(matmul(gram, gram), c));
    value = add(mul(value, a), isTall ? matmul(value, update) : matmul(update, value));
  }
  return value;
}
