/** 10^(i−6) for i = 0 … 6, rounded to f32 as PyTorch rounds a scalar factor. */
const powers = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1].map(Math.fround);

const made = new Map<boolean, Float32Array>();

/**
 * bitsandbytes' dynamic map: 256 sorted f32 in [−1, 1], or [0, 1] unsigned (`create_dynamic_map`, after Dettmers 2016,
 * arXiv:1511.04561). For i = 0 … 6: ±10^(i−6) times the midpoints of linspace(0.1, 1, 2^i + 1); unsigned, the positive
 * half with 2^(i+1) + 1 boundaries; and 0 and 1. The array is shared: do not write to it.
 */
export function dynamicMap(signed: boolean): Float32Array {
  let map = made.get(signed);
  if (map === undefined) made.set(signed, (map = makeMap(signed)));
  return map;
}

function makeMap(signed: boolean): Float32Array {
  const values = [0, 1];
  powers.forEach((power, i) => {
    const boundaries = linspace(2 ** (signed ? i : i + 1) + 1);
    for (let k = 1; k < boundaries.length; k++) {
      const middle = Math.fround((boundaries[k - 1] + boundaries[k]) / 2);
      values.push(power * middle);
      if (signed) values.push(-power * middle);
    }
  });
  return Float32Array.from(values).sort();
}

/** torch.linspace(0.1, 1, count) in f32: from the start in its first half, from the end in its second. */
function linspace(count: number): Float32Array {
  const start = Math.fround(0.1);
  const step = Math.fround(Math.fround(1 - start) / (count - 1));
  const half = Math.floor(count / 2);
  return Float32Array.from({ length: count }, (_, i) => (i < half ? start + step * i : 1 - step * (count - i - 1)));
}
