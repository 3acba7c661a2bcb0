import type { Tensor } from '@lowrank/tensor';
import { abs, add, div, exp, less, log, maximum, minimum, mul, neg, sigmoid, sub, where } from '@lowrank/tensor';
import { withGradient } from '@lowrank/tensor/op';

/** log σ(x) = min(x, 0) − log(1 + e^−|x|); its gradient is σ(−x), also at 0. */
export function logSigmoid(x: Tensor): Tensor {
  const value = sub(minimum(x, 0), log(add(1, exp(neg(abs(x))))));
  return withGradient(value, [x], (g) => [mul(g, sigmoid(neg(x)))]);
}

/** Terms of e^x − 1 below: the rest is under 1e-9 of it at −ln 2. */
const terms = 10;

/**
 * log(1 − e^x) of x < 0, to f32's precision: near 0, where 1 − e^x cancels, by the series of −(e^x − 1) =
 * −x(1 + x/2(1 + x/3(1 + …))).
 */
export function log1mexp(x: Tensor): Tensor {
  const near = maximum(x, -Math.LN2);
  let series: Tensor | number = 1;
  for (let n = terms; n >= 2; n--) series = add(1, mul(div(near, n), series));
  const rest = where(less(x, -Math.LN2), sub(1, exp(x)), neg(mul(near, series)));
  return withGradient(log(rest), [x], (g) => [neg(div(mul(g, exp(x)), rest))]);
}
