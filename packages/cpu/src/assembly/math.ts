/** Elementary functions on four f32 lanes. NaN goes through all of them. */
import { madd } from './common';

/**
 * e^x to about 1 ulp: x = n·ln 2 + r, a polynomial of degree 6 on |r| ≤ ln 2 / 2, and 2ⁿ in two factors so that results
 * down to the smallest subnormal and up to infinity come out right.
 */
// @inline
export function exp4(x: v128): v128 {
  const bounded = v128.max<f32>(v128.min<f32>(x, f32x4.splat(89.5)), f32x4.splat(-104.5));
  const n = v128.nearest<f32>(v128.mul<f32>(bounded, f32x4.splat(1.44269504088896341)));
  let r = v128.sub<f32>(bounded, v128.mul<f32>(n, f32x4.splat(0.693359375)));
  r = v128.add<f32>(r, v128.mul<f32>(n, f32x4.splat(2.1219444e-4)));
  let y = f32x4.splat(1.0 / 720);
  y = madd(y, r, f32x4.splat(1.0 / 120));
  y = madd(y, r, f32x4.splat(1.0 / 24));
  y = madd(y, r, f32x4.splat(1.0 / 6));
  y = madd(y, r, f32x4.splat(0.5));
  y = madd(v128.mul<f32>(y, r), r, r);
  y = v128.add<f32>(y, f32x4.splat(1));
  const power = i32x4.trunc_sat_f32x4_s(n);
  const half = v128.shr<i32>(power, 1);
  const bias = i32x4.splat(127);
  const first = v128.shl<i32>(v128.add<i32>(half, bias), 23);
  const second = v128.shl<i32>(v128.add<i32>(v128.sub<i32>(power, half), bias), 23);
  return v128.mul<f32>(v128.mul<f32>(y, first), second);
}

/** 1 / (1 + e^−x). */
// @inline
export function sigmoid4(x: v128): v128 {
  const one = f32x4.splat(1);
  return v128.div<f32>(one, v128.add<f32>(one, exp4(v128.neg<f32>(x))));
}

/** tanh x: a polynomial below 0.625 (Cephes), else 1 − 2/(e^2|x| + 1). */
// @inline
export function tanh4(x: v128): v128 {
  const magnitude = v128.abs<f32>(x);
  const square = v128.mul<f32>(x, x);
  let small = f32x4.splat(-5.70498872745e-3);
  small = madd(small, square, f32x4.splat(2.06390887954e-2));
  small = madd(small, square, f32x4.splat(-5.37397155531e-2));
  small = madd(small, square, f32x4.splat(1.33314422036e-1));
  small = madd(small, square, f32x4.splat(-3.33332819422e-1));
  small = madd(v128.mul<f32>(small, square), x, x);
  const one = f32x4.splat(1);
  const power = exp4(v128.add<f32>(magnitude, magnitude));
  const large = v128.sub<f32>(one, v128.div<f32>(f32x4.splat(2), v128.add<f32>(power, one)));
  const signed = v128.or(large, v128.and(x, i32x4.splat(0x80000000)));
  return v128.bitselect(small, signed, v128.lt<f32>(magnitude, f32x4.splat(0.625)));
}

/** x/2·(1 + tanh u) with u = √(2/π)(x + 0.044715x³), as x·σ(2u): nothing cancels where tanh u is near −1. */
// @inline
export function geluTanh4(x: v128): v128 {
  const cubic = v128.mul<f32>(v128.mul<f32>(x, x), v128.mul<f32>(x, f32x4.splat(0.044715)));
  return v128.mul<f32>(x, sigmoid4(v128.mul<f32>(f32x4.splat(1.5957691216057308), v128.add<f32>(x, cubic))));
}

/**
 * Φ(x): the smaller tail is e^(−x²/2)·t·P(t) with t = 1/(1 + 0.3|x|/√2), the form of Hastings (Abramowitz & Stegun
 * 7.1.26) with P of degree 8 fitted to 2e-8 of the tail for |x| ≤ 13.
 */
// @inline
export function normalCdf4(x: v128): v128 {
  const one = f32x4.splat(1);
  const t = v128.div<f32>(one, v128.add<f32>(one, v128.mul<f32>(v128.abs<f32>(x), f32x4.splat(0.2121320344))));
  let y = f32x4.splat(-0.06470349371);
  y = madd(y, t, f32x4.splat(0.2424769153));
  y = madd(y, t, f32x4.splat(-0.2554522412));
  y = madd(y, t, f32x4.splat(0.2729942626));
  y = madd(y, t, f32x4.splat(-0.04665885643));
  y = madd(y, t, f32x4.splat(0.107142623));
  y = madd(y, t, f32x4.splat(0.07426336919));
  y = madd(y, t, f32x4.splat(0.08534235351));
  y = madd(y, t, f32x4.splat(0.08459505807));
  const tail = v128.mul<f32>(v128.mul<f32>(y, t), exp4(v128.mul<f32>(v128.mul<f32>(x, x), f32x4.splat(-0.5))));
  return v128.bitselect(tail, v128.sub<f32>(one, tail), v128.lt<f32>(x, f32x4.splat(0)));
}

/** −1, 0, 1 or NaN. */
// @inline
export function sign4(x: v128): v128 {
  const zero = f32x4.splat(0);
  const one = f32x4.splat(1);
  const ordered = v128.sub<f32>(v128.and(v128.gt<f32>(x, zero), one), v128.and(v128.lt<f32>(x, zero), one));
  return v128.bitselect(ordered, x, v128.eq<f32>(x, x));
}

/**
 * Natural logarithm of one number, in double precision within: x = m·2ᵉ with m near 1, log m = 2·artanh((m−1)/(m+1)).
 */
export function log1(x: f32): f32 {
  if (!(x > 0)) return x == 0 ? -Infinity : NaN;
  if (x == Infinity) return x;
  const bits = reinterpret<u64>(<f64>x);
  let e = <i32>(bits >> 52) - 1023;
  let m = reinterpret<f64>((bits & 0x000fffffffffffff) | 0x3ff0000000000000);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    e++;
  }
  const z = (m - 1) / (m + 1);
  const s = z * z;
  let y = 1.0 / 13;
  y = y * s + 1.0 / 11;
  y = y * s + 1.0 / 9;
  y = y * s + 1.0 / 7;
  y = y * s + 1.0 / 5;
  y = y * s + 1.0 / 3;
  y = y * s + 1;
  return <f32>(<f64>e * 0.6931471805599453 + 2 * z * y);
}

/** sin (quarter = 0) or cos (quarter = 1), in double precision within; good for |x| up to 1e9. */
export function sine1(x: f32, quarter: i32): f32 {
  const wide = <f64>x;
  const n = nearest(wide * 0.6366197723675814);
  const r = wide - n * 1.5707963267341256 - n * 6.077100506506192e-11;
  const s = r * r;
  const which = (<i32>(<i64>n & 3) + quarter) & 3;
  let y: f64;
  if (which & 1) {
    y =
      1 -
      s * (0.5 - s * (1.0 / 24 - s * (1.0 / 720 - s * (1.0 / 40320 - s * (1.0 / 3628800 - s * (1.0 / 479001600))))));
  } else {
    y = r * (1 - s * (1.0 / 6 - s * (1.0 / 120 - s * (1.0 / 5040 - s * (1.0 / 362880 - s * (1.0 / 39916800))))));
  }
  return <f32>(which & 2 ? -y : y);
}
